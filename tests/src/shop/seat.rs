//! A seat: a key of two columns and nothing else but a guest; the hooks take the plain row.

use outbox_seaorm::prelude::*;
use sea_orm::entity::prelude::*;

use super::events::SeatChanged;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "seats")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub row_no: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i32,
    pub guest: String,
}

#[outbox_hooks(
    on_insert = |seat| vec![SeatChanged::of(seat, "taken"), SeatChanged::of(seat, "booked")],
    on_update = changed,
    on_delete = |seat: &Model| (SeatChanged::of(seat, "freed"), None::<SeatChanged>),
)]
impl ActiveModelBehavior for ActiveModel {}

fn changed(seat: &Model) -> SeatChanged {
    SeatChanged::of(seat, "changed")
}
