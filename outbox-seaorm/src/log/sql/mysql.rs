//! MySQL 8 and MariaDB: one text for both, nothing that only one of them has.

use sea_orm::DbBackend;

use super::{CheckSql, ProofSql, Query, Sql};

/// The columns of an event, in the order in which [`rows`](super::super::rows) takes them. The payload and the
/// headers only of topics that are wanted, and not of a row that is read as the anchor only.
macro_rules! columns {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id,
         CASE WHEN e.seq <> :anchor_only AND (:topics IS NULL OR JSON_CONTAINS(:topics, JSON_QUOTE(e.topic)))
              THEN e.payload END AS payload,
         CASE WHEN e.seq <> :anchor_only AND (:topics IS NULL OR JSON_CONTAINS(:topics, JSON_QUOTE(e.topic)))
              THEN e.headers END AS headers,
         CASE WHEN e.deliver_at > UTC_TIMESTAMP(6) THEN e.deliver_at END AS scheduled_for,
         e.occurred_at, e.created_at"
    };
}

/// Ranges of seqs as they come in.
macro_rules! ranges {
    () => {
        "JSON_TABLE(:ranges, '$[*]' COLUMNS (first BIGINT PATH '$[0]', last BIGINT PATH '$[1]')) hole"
    };
}

/// Holds as they come in: one JSON document, so that one prepared text serves any number.
macro_rules! holds {
    () => {
        "JSON_TABLE(:holds, '$[*]' COLUMNS (
             seq BIGINT PATH '$.seq',
             aggregate_type VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.aggregate_type',
             aggregate_id VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.aggregate_id',
             state VARCHAR(20) CHARACTER SET utf8mb4 PATH '$.state',
             attempts INT PATH '$.attempts',
             due_at DATETIME(6) PATH '$.due_at',
             due_after BIGINT PATH '$.due_after',
             last_error TEXT CHARACTER SET utf8mb4 PATH '$.last_error')) h"
    };
}

/// When a hold that comes in is due.
macro_rules! due {
    () => {
        "COALESCE(h.due_at, UTC_TIMESTAMP(6) + INTERVAL h.due_after MICROSECOND)"
    };
}

/// When a hold that comes in failed first, if it has not before.
macro_rules! failed {
    () => {
        "CASE WHEN h.attempts > 0 OR h.state = 'dead' THEN UTC_TIMESTAMP(6) END"
    };
}

pub(super) fn sql() -> Sql {
    let query = |text| Query::new(DbBackend::MySql, text);
    Sql {
        read_tail: query(concat!(
            "SELECT ",
            columns!(),
            " FROM {event} e WHERE e.seq >= :position ORDER BY e.seq LIMIT :limit_with_anchor"
        )),
        // The union carries numbers only: with the texts in it, it would be written to a temporary table on disk.
        // The optimiser must not turn the join around, which is what STRAIGHT_JOIN says.
        read_with_holes: query(concat!(
            "SELECT STRAIGHT_JOIN ",
            columns!(),
            " FROM (
                 SELECT seq FROM (
                     (SELECT STRAIGHT_JOIN x.seq FROM ",
            ranges!(),
            "         JOIN {event} x FORCE INDEX (PRIMARY) ON x.seq BETWEEN hole.first AND hole.last)
                   UNION ALL
                     (SELECT x.seq FROM {event} x WHERE x.seq > :position ORDER BY x.seq LIMIT :limit)
                   ORDER BY seq LIMIT :limit
                 ) page
               UNION ALL
                 SELECT :position
             ) wanted JOIN {event} e FORCE INDEX (PRIMARY) ON e.seq = wanted.seq ORDER BY e.seq"
        )),
        flush: query(
            "UPDATE {subscription} s
             SET s.position = :position, s.anchor = :anchor, s.holes = :holes, s.flush_no = s.flush_no + 1
             WHERE s.name = :name AND s.owner = :owner AND s.flush_no = :flush_no
               AND (:anchor IS NULL
                    OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = :position AND e.id = :anchor))",
        ),
        hold_insert: query(concat!(
            "INSERT INTO {hold} (subscription, seq, aggregate_type, aggregate_id, state, attempts, due_at, last_error,
                 first_failed_at)
             SELECT :name, h.seq, h.aggregate_type, h.aggregate_id, h.state, h.attempts, ",
            due!(),
            ", h.last_error, ",
            failed!(),
            " FROM ",
            holds!(),
            " ON DUPLICATE KEY UPDATE first_failed_at = COALESCE({hold}.first_failed_at, VALUES(first_failed_at)),
                 state = VALUES(state), attempts = VALUES(attempts), due_at = VALUES(due_at),
                 last_error = VALUES(last_error)"
        )),
        hold_update: query(concat!(
            "UPDATE {hold} t JOIN ",
            holds!(),
            " ON t.seq = h.seq
             SET t.state = h.state, t.attempts = h.attempts, t.due_at = ",
            due!(),
            ", t.last_error = h.last_error, t.first_failed_at = COALESCE(t.first_failed_at, ",
            failed!(),
            ") WHERE t.subscription = :name"
        )),
        hold_delete: query(
            "DELETE t FROM {hold} t JOIN JSON_TABLE(:seqs, '$[*]' COLUMNS (seq BIGINT PATH '$')) h ON t.seq = h.seq
             WHERE t.subscription = :name",
        ),
        due: query(
            "SELECT e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id, e.payload,
                 e.headers, CAST(NULL AS DATETIME(6)), e.occurred_at, e.created_at,
                 t.state, t.attempts, t.due_at, t.last_error, t.seq
             FROM {hold} t LEFT JOIN {event} e ON e.seq = t.seq
             WHERE t.subscription = :name AND t.due_at <= UTC_TIMESTAMP(6)
             ORDER BY t.seq LIMIT :limit",
        ),
        next_due: query(
            "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), MIN(due_at)) FROM {hold} WHERE subscription = :name",
        ),
        look: query(
            "SELECT s.position, s.anchor, s.holes, s.flush_no, s.state,
                 CAST(CASE WHEN s.owner IS NULL OR s.lease_until IS NULL THEN 0
                      ELSE TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), s.lease_until) END AS SIGNED),
                 s.anchor IS NULL OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = s.position AND e.id = s.anchor)
             FROM {subscription} s WHERE s.name = :name",
        ),
        take: query(
            "UPDATE {subscription}
             SET owner = :owner, epoch = epoch + 1, lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND
             WHERE name = :name AND state <> 'paused'
               AND (owner IS NULL OR lease_until IS NULL OR lease_until <= UTC_TIMESTAMP(6))",
        ),
        renew: query(
            "UPDATE {subscription} SET lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND
             WHERE name = :name AND owner = :owner AND state <> 'paused'",
        ),
        release: query(
            "UPDATE {subscription} SET owner = NULL, lease_until = NULL WHERE name = :name AND owner = :owner",
        ),
        report: query(
            "UPDATE {subscription}
             SET state_since = CASE WHEN state = :state THEN state_since ELSE UTC_TIMESTAMP(6) END,
                 state = :state, last_error = :error
             WHERE name = :name AND owner = :owner AND state <> 'paused'",
        ),
        lock_floor: query("SELECT floor FROM {meta} WHERE id = 1 FOR UPDATE"),
        start: query(
            "SELECT numbered.prior, numbered.seq, numbered.id, numbered.later IS NULL FROM (
                 SELECT seq, id, COALESCE(LAG(seq) OVER (ORDER BY seq), :floor) AS prior,
                     LEAD(seq) OVER (ORDER BY seq) AS later
                 FROM {event}
                 WHERE seq > :floor
                   AND seq < COALESCE((SELECT MIN(x.seq) FROM {event} x WHERE x.created_at >= CAST(:since AS DATETIME(6))),
                                      9223372036854775807)
             ) numbered WHERE numbered.seq > numbered.prior + 1 OR numbered.later IS NULL ORDER BY numbered.seq",
        ),
        register: query(
            "INSERT INTO {subscription} (name, position, anchor, holes, state)
             VALUES (:name, :position, :anchor, :holes, 'running') ON DUPLICATE KEY UPDATE flush_no = flush_no",
        ),
        subscriptions: query(
            "SELECT position, SUBSTR(holes, 1, 20) FROM {subscription} ORDER BY name",
        ),
        lowest_hold: query(
            "SELECT MIN(lowest) FROM (
                 SELECT (SELECT MIN(t.seq) FROM {hold} t WHERE t.subscription = s.name) AS lowest FROM {subscription} s
             ) holds",
        ),
        purgeable: query(
            "SELECT MAX(seq), MIN(CASE WHEN created_at > UTC_TIMESTAMP(6) - INTERVAL :keep MICROSECOND THEN seq END),
                 COUNT(*)
             FROM (SELECT seq, created_at FROM {event} WHERE seq > :floor AND seq < :before
                   ORDER BY seq LIMIT :limit) chunk",
        ),
        archive: query(
            "INSERT INTO {archive} (seq, id, event_type, event_version, topic, aggregate_type, aggregate_id,
                 payload, headers, deliver_at, occurred_at, created_at)
             SELECT seq, id, event_type, event_version, topic, aggregate_type, aggregate_id,
                 payload, headers, deliver_at, occurred_at, created_at
             FROM {event} WHERE seq > :floor AND seq <= :upto",
        ),
        purge: query("DELETE FROM {event} WHERE seq > :floor AND seq <= :upto"),
        store_floor: query("UPDATE {meta} SET floor = :upto WHERE id = 1 AND floor < :upto"),
        check: CheckSql {
            version: query("SELECT VERSION()"),
            missing: query(
                "SELECT wanted.name
                 FROM JSON_TABLE(:tables, '$[*]' COLUMNS (name VARCHAR(64) CHARACTER SET utf8mb4 PATH '$')) wanted
                 WHERE NOT EXISTS (SELECT 1 FROM information_schema.TABLES t
                     WHERE t.TABLE_SCHEMA = COALESCE(:folder, DATABASE())
                       AND CAST(LOWER(t.TABLE_NAME) AS BINARY) = CAST(LOWER(wanted.name) AS BINARY))",
            ),
            // A server that does not log gives no format that matters.
            facts: query(
                "SELECT CAST(@@global.auto_increment_increment AS SIGNED), CAST(@@global.read_only AS SIGNED),
                     CASE WHEN @@global.log_bin THEN CAST(@@global.binlog_format AS CHAR) ELSE '' END,
                     CAST(t.ENGINE AS CHAR), CAST(s.EXTRA AS CHAR), CAST(s.COLUMN_KEY AS CHAR),
                     CAST(m.COLUMN_DEFAULT AS CHAR)
                 FROM information_schema.TABLES t
                 LEFT JOIN information_schema.COLUMNS s ON s.TABLE_SCHEMA = t.TABLE_SCHEMA
                     AND s.TABLE_NAME = t.TABLE_NAME AND s.COLUMN_NAME = 'seq'
                 LEFT JOIN information_schema.COLUMNS m ON m.TABLE_SCHEMA = t.TABLE_SCHEMA
                     AND m.TABLE_NAME = t.TABLE_NAME AND m.COLUMN_NAME = 'created_at'
                 WHERE t.TABLE_SCHEMA = COALESCE(:folder, DATABASE())
                   AND CAST(LOWER(t.TABLE_NAME) AS BINARY) = CAST(LOWER(:event) AS BINARY)",
            ),
        },
        proof: ProofSql::Tombstones {
            taken: query(concat!(
                "SELECT STRAIGHT_JOIN e.seq FROM ",
                ranges!(),
                " JOIN {event} e FORCE INDEX (PRIMARY) ON e.seq BETWEEN hole.first AND hole.last"
            )),
            // The rows follow as text. Never a SELECT: InnoDB would hold the lock of the counter for as long as the
            // statement waits, which stops every writer and ends the transaction of the one it waits for.
            fill: query(
                "INSERT IGNORE INTO {event} (seq, id, event_type, event_version, topic, payload, occurred_at) VALUES ",
            ),
            filled: query(concat!(
                "SELECT STRAIGHT_JOIN e.seq, e.id FROM ",
                ranges!(),
                " JOIN {event} e FORCE INDEX (PRIMARY) ON e.seq BETWEEN hole.first AND hole.last"
            )),
            table: query("SHOW CREATE TABLE {event}"),
        },
        moment: "%Y-%m-%d %H:%M:%S%.6f",
    }
}
