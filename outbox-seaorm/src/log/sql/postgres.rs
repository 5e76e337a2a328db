//! PostgreSQL.

use sea_orm::DbBackend;

use super::{CheckSql, ProofSql, Query, Sql};

/// The columns of an event, in the order in which [`rows`](super::super::rows) takes them. The payload and the
/// headers only of topics that are wanted, and not of a row that is read as the anchor only.
macro_rules! columns {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id,
         CASE WHEN e.seq <> :anchor_only
               AND (:topics::text IS NULL OR e.topic IN (SELECT jsonb_array_elements_text(:topics::jsonb)))
              THEN e.payload END AS payload,
         CASE WHEN e.seq <> :anchor_only
               AND (:topics::text IS NULL OR e.topic IN (SELECT jsonb_array_elements_text(:topics::jsonb)))
              THEN e.headers END AS headers,
         CASE WHEN e.deliver_at > clock_timestamp() THEN e.deliver_at END AS scheduled_for,
         e.occurred_at, e.created_at"
    };
}

/// How often an operator has intervened: of no table of the statement's, so that it is asked for once.
macro_rules! interventions {
    () => {
        "(SELECT s.interventions FROM {subscription} s WHERE s.name = :name)"
    };
}

/// Holds as they come in: one JSON document, so that one prepared text serves any number.
macro_rules! holds {
    () => {
        "jsonb_to_recordset(:holds::jsonb) AS h(seq bigint, aggregate_type text, aggregate_id text, state text,
         attempts integer, due_at timestamptz, due_after bigint, last_error text, replay uuid)"
    };
}

/// When a hold that comes in is due.
macro_rules! due {
    () => {
        "COALESCE(h.due_at, clock_timestamp() + h.due_after * interval '1 microsecond')"
    };
}

/// When a hold that comes in failed first, if it has not before.
macro_rules! failed {
    () => {
        "CASE WHEN h.attempts > 0 OR h.state = 'dead' THEN clock_timestamp() END"
    };
}

/// A hold with its event, if that is there, as [`holds`](super::super::holds) takes them.
macro_rules! held {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id, e.payload,
         e.headers, NULL::timestamptz, e.occurred_at, e.created_at,
         t.state, t.attempts, t.due_at, t.last_error, t.replay, t.aggregate_type, t.aggregate_id, t.seq"
    };
}

pub(super) fn sql() -> Sql {
    let query = |text| Query::new(DbBackend::Postgres, text);
    Sql {
        read_tail: query(concat!(
            "SELECT ",
            columns!(),
            ", ",
            interventions!(),
            " FROM {event} e WHERE e.seq >= :position ORDER BY e.seq LIMIT :limit_with_anchor"
        )),
        read_with_holes: query(concat!(
            "SELECT page_and_anchor.*, ",
            interventions!(),
            " FROM (
                 (SELECT ",
            columns!(),
            " FROM {event} e WHERE e.seq = :position)
               UNION ALL
                 (SELECT * FROM (
                      (SELECT found.*
                       FROM unnest(:firsts::text::bigint[], :lasts::text::bigint[]) AS hole(first, last)
                       CROSS JOIN LATERAL (SELECT ",
            columns!(),
            "         FROM {event} e WHERE e.seq BETWEEN hole.first AND hole.last ORDER BY e.seq LIMIT :limit) found)
                    UNION ALL
                      (SELECT ",
            columns!(),
            "         FROM {event} e WHERE e.seq > :position ORDER BY e.seq LIMIT :limit)
                 ) page ORDER BY seq LIMIT :limit)
             ) page_and_anchor ORDER BY seq"
        )),
        flush: query(
            "UPDATE {subscription}
             SET position = :position, anchor = :anchor, holes = :holes, flush_no = flush_no + 1
             WHERE name = :name AND owner = :owner AND flush_no = :flush_no
               AND (:anchor::uuid IS NULL
                    OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = :position AND e.id = :anchor))",
        ),
        hold_insert: query(concat!(
            "INSERT INTO {hold} AS t (subscription, seq, aggregate_type, aggregate_id, state, attempts, due_at, last_error,
                 replay, first_failed_at)
             SELECT :name, h.seq, h.aggregate_type, h.aggregate_id, h.state, h.attempts, ",
            due!(),
            ", h.last_error, h.replay, ",
            failed!(),
            " FROM ",
            holds!(),
            " ON CONFLICT (subscription, seq) DO UPDATE
             SET aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id,
                 state = excluded.state, attempts = excluded.attempts, due_at = excluded.due_at,
                 last_error = excluded.last_error, replay = excluded.replay,
                 first_failed_at = COALESCE(t.first_failed_at, excluded.first_failed_at)"
        )),
        hold_update: query(concat!(
            "UPDATE {hold} t
             SET aggregate_type = h.aggregate_type, aggregate_id = h.aggregate_id, state = h.state,
                 attempts = h.attempts, due_at = ",
            due!(),
            ", last_error = h.last_error, replay = h.replay, first_failed_at = COALESCE(t.first_failed_at, ",
            failed!(),
            ") FROM ",
            holds!(),
            " WHERE t.subscription = :name AND t.seq = h.seq"
        )),
        hold_delete: query(
            "DELETE FROM {hold} WHERE subscription = :name
             AND seq IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(:seqs::jsonb))",
        ),
        // The clock is asked in a query of its own: the time of a volatile function is compared row by row, without the index.
        due: query(concat!(
            "SELECT ",
            held!(),
            " FROM (SELECT seq FROM {hold} WHERE subscription = :name AND due_at <= (SELECT clock_timestamp())
                    ORDER BY seq + 0 LIMIT :limit) w
             JOIN {hold} t ON t.subscription = :name AND t.seq = w.seq
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        stopped: query(
            "SELECT aggregate_type, aggregate_id, bool_or(state = 'retry'), bool_or(state = 'dead'),
                 bool_or(state = 'blocked')
             FROM {hold} WHERE subscription = :name AND aggregate_type IS NOT NULL AND aggregate_id IS NOT NULL
             GROUP BY aggregate_type, aggregate_id",
        ),
        blocked: query(concat!(
            "SELECT ",
            held!(),
            " FROM jsonb_array_elements(:keys::jsonb) k
             CROSS JOIN LATERAL (
                 SELECT x.* FROM {hold} x
                 WHERE x.subscription = :name AND x.aggregate_type = k ->> 0 AND x.aggregate_id = k ->> 1
                   AND x.state = 'blocked'
                 ORDER BY x.seq LIMIT :each) t
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        next_due: query(
            "SELECT CAST(EXTRACT(EPOCH FROM MIN(due_at) - clock_timestamp()) * 1000000 AS bigint)
             FROM {hold} WHERE subscription = :name AND due_at IS NOT NULL",
        ),
        look: query(
            "SELECT s.position, s.anchor, s.holes, s.flush_no, s.state,
                 CASE WHEN s.owner IS NULL OR s.lease_until IS NULL THEN 0
                      ELSE CAST(EXTRACT(EPOCH FROM s.lease_until - clock_timestamp()) * 1000000 AS bigint) END,
                 s.anchor IS NULL OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = s.position AND e.id = s.anchor),
                 s.interventions, clock_timestamp()
             FROM {subscription} s WHERE s.name = :name",
        ),
        take: query(
            "UPDATE {subscription}
             SET owner = :owner, epoch = epoch + 1, lease_until = clock_timestamp() + :lease * interval '1 microsecond'
             WHERE name = :name AND state <> 'paused'
               AND (owner IS NULL OR lease_until IS NULL OR lease_until <= clock_timestamp())",
        ),
        renew: query(
            "UPDATE {subscription} SET lease_until = clock_timestamp() + :lease * interval '1 microsecond'
             WHERE name = :name AND owner = :owner",
        ),
        intervene: query("UPDATE {subscription} SET interventions = interventions + 1 WHERE name = :name"),
        interventions: query("SELECT interventions FROM {subscription} WHERE name = :name AND owner = :owner"),
        release: query(
            "UPDATE {subscription} SET owner = NULL, lease_until = clock_timestamp()
             WHERE name = :name AND owner = :owner",
        ),
        report: query(
            "UPDATE {subscription}
             SET state_since = CASE WHEN state = :state THEN state_since ELSE clock_timestamp() END,
                 state = :state, last_error = :error
             WHERE name = :name AND owner = :owner AND state <> 'paused'",
        ),
        describe: query(
            "UPDATE {subscription}
             SET leader = :leader, topics = :topics, skipped_topics = :skipped, ordering = :ordering
             WHERE name = :name AND owner = :owner",
        ),
        hold_counts: query("SELECT state, COUNT(*) FROM {hold} WHERE subscription = :name GROUP BY state"),
        oldest_pending: query(
            "SELECT seen, CAST(EXTRACT(EPOCH FROM clock_timestamp() - created_at) * 1000000 AS bigint) FROM (
                 SELECT seq, created_at, row_number() OVER (ORDER BY seq) AS seen,
                     topic <> '' AND (:topics::text IS NULL
                                      OR topic IN (SELECT jsonb_array_elements_text(:topics::jsonb))) AS taken
                 FROM (
                     (SELECT found.*
                      FROM unnest(:firsts::text::bigint[], :lasts::text::bigint[]) AS hole(first, last)
                      CROSS JOIN LATERAL (SELECT x.seq, x.topic, x.created_at FROM {event} x
                                          WHERE x.seq BETWEEN hole.first AND hole.last
                                          ORDER BY x.seq LIMIT :limit) found)
                   UNION ALL
                     (SELECT x.seq, x.topic, x.created_at FROM {event} x WHERE x.seq > :position
                      ORDER BY x.seq LIMIT :limit)
                   ORDER BY seq LIMIT :limit
                 ) w
             ) looked_at WHERE taken OR seen = :limit ORDER BY seq LIMIT 1",
        ),
        receipt_insert: query(
            "INSERT INTO {receipt} AS t (subscription, seq, broker_id, dispatched_at, ack_due_at)
             SELECT :name, r.seq, r.broker_id, clock_timestamp(),
                 clock_timestamp() + r.ack_within * interval '1 microsecond'
             FROM jsonb_to_recordset(:receipts::jsonb) AS r(seq bigint, broker_id text, ack_within bigint)
             ON CONFLICT (subscription, seq) DO UPDATE
             SET broker_id = excluded.broker_id, dispatched_at = excluded.dispatched_at,
                 ack_due_at = CASE WHEN t.acknowledged_at IS NULL THEN excluded.ack_due_at END",
        ),
        receipt_delete: query(
            "DELETE FROM {receipt} WHERE subscription = :name
             AND seq IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(:seqs::jsonb))",
        ),
        overdue: query(
            "SELECT seq FROM {receipt} WHERE subscription = :name AND ack_due_at <= (SELECT clock_timestamp())
             ORDER BY ack_due_at LIMIT :limit FOR UPDATE",
        ),
        resend: query(
            "INSERT INTO {hold} (subscription, seq, state, attempts, due_at)
             SELECT :name, CAST(value AS bigint), 'scheduled', 0, clock_timestamp()
             FROM jsonb_array_elements_text(:seqs::jsonb) ON CONFLICT (subscription, seq) DO NOTHING",
        ),
        await_again: query(
            "UPDATE {receipt} SET ack_due_at = clock_timestamp() + :within * interval '1 microsecond'
             WHERE subscription = :name
               AND seq IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(:seqs::jsonb))",
        ),
        lock_floor: query("SELECT floor FROM {meta} WHERE id = 1 FOR UPDATE"),
        start: query(
            "SELECT prior, seq, id, later IS NULL FROM (
                 SELECT seq, id, COALESCE(LAG(seq) OVER (ORDER BY seq), :floor) AS prior,
                     LEAD(seq) OVER (ORDER BY seq) AS later
                 FROM {event}
                 WHERE seq > :floor
                   AND seq < COALESCE((SELECT MIN(seq) FROM {event} WHERE created_at >= :since::timestamptz),
                                      9223372036854775807)
             ) numbered WHERE seq > prior + 1 OR later IS NULL ORDER BY seq",
        ),
        register: query(
            "INSERT INTO {subscription} (name, position, anchor, holes, state)
             VALUES (:name, :position, :anchor, :holes, 'running') ON CONFLICT (name) DO NOTHING",
        ),
        subscriptions: query("SELECT position, SUBSTR(holes, 1, 20), name FROM {subscription}"),
        lowest_needed: query(
            "SELECT (SELECT MIN(t.seq) FROM {hold} t WHERE t.subscription = :name),
                 (SELECT MIN(r.seq + 0) FROM {receipt} r WHERE r.subscription = :name AND r.ack_due_at IS NOT NULL)",
        ),
        purgeable: query(
            "SELECT MAX(seq), MIN(CASE WHEN created_at > clock_timestamp() - :keep * interval '1 microsecond' THEN seq END),
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
        purge_receipts:
            query("DELETE FROM {receipt} WHERE subscription = :name AND seq > :floor AND seq <= :upto"),
        store_floor: query("UPDATE {meta} SET floor = :upto WHERE id = 1 AND floor < :upto"),
        check: CheckSql {
            version: query("SELECT version()"),
            missing: query(
                "SELECT name FROM jsonb_array_elements_text(:tables::jsonb) AS name WHERE to_regclass(name) IS NULL",
            ),
            facts: query(
                "SELECT pg_is_in_recovery(), c.relkind::text, c.relpersistence::text, a.attidentity::text,
                     s.seqcache, s.seqincrement, s.seqcycle,
                     EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid
                             AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
                     (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute m
                      ON m.attrelid = d.adrelid AND m.attnum = d.adnum
                      WHERE d.adrelid = c.oid AND m.attname = 'created_at')
                 FROM pg_class c
                 LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'seq'
                 LEFT JOIN pg_sequence s ON s.seqrelid = to_regclass(pg_get_serial_sequence(:event, 'seq'))
                 WHERE c.oid = :event::regclass",
            ),
        },
        proof: ProofSql::WriterList {
            last_number: query(
                "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence(:event, 'seq')::regclass), 0)",
            ),
            // A writer takes this lock before it draws its number and gives it back after its end is visible. Those that
            // only wait for the lock have drawn nothing yet; they are listed too, which errs on the safe side.
            writers: query(
                "SELECT DISTINCT virtualtransaction FROM pg_locks
                 WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND relation = :event::regclass",
            ),
        },
        moment: "%Y-%m-%d %H:%M:%S%.6f+00:00",
    }
}
