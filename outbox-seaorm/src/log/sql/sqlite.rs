//! SQLite. Moments are text with one form and one offset, so that they compare as text.

use sea_orm::DbBackend;

use super::{CheckSql, ProofSql, Query, Sql};

/// The columns of an event, in the order in which [`rows`](super::super::rows) takes them. The payload and the
/// headers only of topics that are wanted, and not of a row that is read as the anchor only.
macro_rules! columns {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id,
         CASE WHEN e.seq <> :anchor_only AND (:topics IS NULL OR e.topic IN (SELECT value FROM json_each(:topics)))
              THEN e.payload END AS payload,
         CASE WHEN e.seq <> :anchor_only AND (:topics IS NULL OR e.topic IN (SELECT value FROM json_each(:topics)))
              THEN e.headers END AS headers,
         CASE WHEN e.deliver_at > strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') THEN e.deliver_at END AS scheduled_for,
         e.occurred_at, e.created_at"
    };
}

/// How often an operator has intervened: of no table of the statement's, so that it is asked for once.
macro_rules! interventions {
    () => {
        "(SELECT s.interventions FROM {subscription} s WHERE s.name = :name)"
    };
}

/// Holds as they come in: one JSON document, so that one prepared text serves any number. JSON has no bytes and older
/// versions no `unhex`, so the ids of replays come beside it, one after the other.
macro_rules! holds {
    () => {
        "(SELECT json_extract(value, '$.seq') AS seq, json_extract(value, '$.aggregate_type') AS aggregate_type,
              json_extract(value, '$.aggregate_id') AS aggregate_id, json_extract(value, '$.state') AS state,
              json_extract(value, '$.attempts') AS attempts, json_extract(value, '$.due_at') AS due_at,
              json_extract(value, '$.due_after') AS due_after, json_extract(value, '$.last_error') AS last_error,
              substr(:replays, json_extract(value, '$.replay_at'), 16) AS replay
          FROM json_each(:holds)) AS h"
    };
}

/// When a hold that comes in is due.
macro_rules! due {
    () => {
        // `printf` makes a zero of a NULL.
        "CASE WHEN h.due_after IS NULL THEN h.due_at
              ELSE strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', printf('+%.6f seconds', h.due_after / 1e6)) END"
    };
}

/// When a hold that comes in failed first, if it has not before.
macro_rules! failed {
    () => {
        "CASE WHEN h.attempts > 0 OR h.state = 'dead' THEN strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') END"
    };
}

/// Puts holds that come in into the table; which, and what happens to those that are there, follows.
macro_rules! store_holds {
    () => {
        concat!(
            "INSERT INTO {hold} (subscription, seq, aggregate_type, aggregate_id, state, attempts, due_at, last_error,
                 replay, first_failed_at)
             SELECT :name, h.seq, h.aggregate_type, h.aggregate_id, h.state, h.attempts, ",
            due!(),
            ", h.last_error, h.replay, ",
            failed!(),
            " FROM ",
            holds!()
        )
    };
}

/// Changes a hold that is there.
macro_rules! change_held {
    () => {
        "ON CONFLICT (subscription, seq) DO UPDATE
         SET aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id,
             state = excluded.state, attempts = excluded.attempts, due_at = excluded.due_at,
             last_error = excluded.last_error, replay = excluded.replay,
             first_failed_at = COALESCE(first_failed_at, excluded.first_failed_at)"
    };
}

/// A hold with its event, if that is there, as [`holds`](super::super::holds) takes them.
macro_rules! held {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id, e.payload,
         e.headers, NULL, e.occurred_at, e.created_at,
         t.state, t.attempts, t.due_at, t.last_error, t.replay, t.aggregate_type, t.aggregate_id, t.seq"
    };
}

pub(super) fn sql() -> Sql {
    let query = |text| Query::new(DbBackend::Sqlite, text);
    Sql {
        read_tail: query(concat!(
            "SELECT ",
            columns!(),
            ", ",
            interventions!(),
            " FROM {event} e WHERE e.seq >= :position ORDER BY e.seq LIMIT :limit_with_anchor"
        )),
        read_with_holes: query(concat!(
            "SELECT ",
            columns!(),
            ", ",
            interventions!(),
            " FROM (
                 SELECT * FROM (
                     SELECT x.seq FROM json_each(:ranges) hole CROSS JOIN {event} x
                     ON x.seq BETWEEN json_extract(hole.value, '$[0]') AND json_extract(hole.value, '$[1]')
                   UNION ALL
                     SELECT * FROM (SELECT x.seq FROM {event} x WHERE x.seq > :position ORDER BY x.seq LIMIT :limit)
                   ORDER BY 1 LIMIT :limit
                 )
               UNION ALL
                 SELECT :position
             ) wanted CROSS JOIN {event} e ON e.seq = wanted.seq ORDER BY e.seq"
        )),
        flush: query(
            "UPDATE {subscription}
             SET position = :position, anchor = :anchor, holes = :holes, flush_no = flush_no + 1
             WHERE name = :name AND owner = :owner AND flush_no = :flush_no
               AND (:anchor IS NULL
                    OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = :position AND e.id = :anchor))",
        ),
        hold_insert: query(concat!(store_holds!(), " WHERE true ", change_held!())),
        // An UPDATE with a FROM may go through all that a subscription holds, and for each of it through the document.
        hold_update: query(concat!(
            store_holds!(),
            " CROSS JOIN {hold} t ON t.subscription = :name AND t.seq = h.seq WHERE true ",
            change_held!()
        )),
        hold_delete: query(
            "DELETE FROM {hold} WHERE subscription = :name AND seq IN (SELECT value FROM json_each(:seqs))",
        ),
        due: query(concat!(
            "SELECT ",
            held!(),
            " FROM (SELECT seq FROM {hold}
                    WHERE subscription = :name AND due_at <= strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
                    ORDER BY seq + 0 LIMIT :limit) w
             CROSS JOIN {hold} t ON t.subscription = :name AND t.seq = w.seq
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        stopped: query(
            "SELECT aggregate_type, aggregate_id, MAX(state = 'retry'), MAX(state = 'dead'), MAX(state = 'blocked')
             FROM {hold} WHERE subscription = :name AND aggregate_type IS NOT NULL AND aggregate_id IS NOT NULL
             GROUP BY aggregate_type, aggregate_id",
        ),
        blocked: query(concat!(
            "SELECT ",
            held!(),
            " FROM json_each(:keys) k
             CROSS JOIN {hold} t ON t.subscription = :name AND t.aggregate_type = json_extract(k.value, '$[0]')
                 AND t.aggregate_id = json_extract(k.value, '$[1]') AND t.seq IN (
                     SELECT x.seq FROM {hold} x
                     WHERE x.subscription = :name AND x.aggregate_type = json_extract(k.value, '$[0]')
                       AND x.aggregate_id = json_extract(k.value, '$[1]') AND x.state = 'blocked'
                     ORDER BY x.seq LIMIT :each)
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        next_due: query(
            "SELECT CAST((julianday(MIN(due_at)) - julianday('now')) * 86400000000 AS INTEGER)
             FROM {hold} WHERE subscription = :name AND due_at IS NOT NULL",
        ),
        look: query(
            "SELECT s.position, s.anchor, s.holes, s.flush_no, s.state,
                 CASE WHEN s.owner IS NULL OR s.lease_until IS NULL THEN 0
                      ELSE CAST((julianday(s.lease_until) - julianday('now')) * 86400000000 AS INTEGER) END,
                 s.anchor IS NULL OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = s.position AND e.id = s.anchor),
                 s.interventions, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
             FROM {subscription} s WHERE s.name = :name",
        ),
        take: query(
            "UPDATE {subscription}
             SET owner = :owner, epoch = epoch + 1,
                 lease_until = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', printf('+%.6f seconds', :lease / 1e6))
             WHERE name = :name AND state <> 'paused'
               AND (owner IS NULL OR lease_until IS NULL
                    OR lease_until <= strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))",
        ),
        renew: query(
            "UPDATE {subscription}
             SET lease_until = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', printf('+%.6f seconds', :lease / 1e6))
             WHERE name = :name AND owner = :owner",
        ),
        intervene: query("UPDATE {subscription} SET interventions = interventions + 1 WHERE name = :name"),
        interventions: query("SELECT interventions FROM {subscription} WHERE name = :name AND owner = :owner"),
        release: query(
            "UPDATE {subscription} SET owner = NULL, lease_until = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
             WHERE name = :name AND owner = :owner",
        ),
        report: query(
            "UPDATE {subscription}
             SET state_since = CASE WHEN state = :state THEN state_since
                                    ELSE strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') END,
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
            "SELECT seen, CAST((julianday('now') - julianday(created_at)) * 86400000000 AS INTEGER) FROM (
                 SELECT e.seq, e.created_at, row_number() OVER (ORDER BY e.seq) AS seen,
                     e.topic <> '' AND (:topics IS NULL OR e.topic IN (SELECT value FROM json_each(:topics))) AS taken
                 FROM (
                     SELECT x.seq FROM json_each(:ranges) hole CROSS JOIN {event} x
                     ON x.seq BETWEEN json_extract(hole.value, '$[0]') AND json_extract(hole.value, '$[1]')
                   UNION ALL
                     SELECT * FROM (SELECT x.seq FROM {event} x WHERE x.seq > :position ORDER BY x.seq LIMIT :limit)
                   ORDER BY 1 LIMIT :limit
                 ) w CROSS JOIN {event} e ON e.seq = w.seq
             ) looked_at WHERE taken OR seen = :limit ORDER BY seq LIMIT 1",
        ),
        receipt_insert: query(
            "INSERT INTO {receipt} (subscription, seq, broker_id, dispatched_at, ack_due_at)
             SELECT :name, json_extract(value, '$.seq'), json_extract(value, '$.broker_id'),
                 strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'),
                 CASE WHEN json_extract(value, '$.ack_within') IS NOT NULL THEN
                     strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now',
                              printf('+%.6f seconds', json_extract(value, '$.ack_within') / 1e6)) END
             FROM json_each(:receipts)
             WHERE true ON CONFLICT (subscription, seq) DO UPDATE
             SET broker_id = excluded.broker_id, dispatched_at = excluded.dispatched_at,
                 ack_due_at = CASE WHEN acknowledged_at IS NULL THEN excluded.ack_due_at END",
        ),
        receipt_delete: query(
            "DELETE FROM {receipt} WHERE subscription = :name AND seq IN (SELECT value FROM json_each(:seqs))",
        ),
        overdue: query(
            "SELECT seq FROM {receipt}
             WHERE subscription = :name AND ack_due_at <= strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
             ORDER BY ack_due_at LIMIT :limit",
        ),
        resend: query(
            "INSERT INTO {hold} (subscription, seq, state, attempts, due_at)
             SELECT :name, value, 'scheduled', 0, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
             FROM json_each(:seqs) WHERE true ON CONFLICT (subscription, seq) DO NOTHING",
        ),
        await_again: query(
            "UPDATE {receipt}
             SET ack_due_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', printf('+%.6f seconds', :within / 1e6))
             WHERE subscription = :name AND seq IN (SELECT value FROM json_each(:seqs))",
        ),
        lock_floor: query("SELECT floor FROM {meta} WHERE id = 1"),
        start: query(
            "SELECT prior, seq, id, later IS NULL FROM (
                 SELECT seq, id, COALESCE(LAG(seq) OVER (ORDER BY seq), :floor) AS prior,
                     LEAD(seq) OVER (ORDER BY seq) AS later
                 FROM {event}
                 WHERE seq > :floor
                   AND seq < COALESCE((SELECT MIN(seq) FROM {event} WHERE created_at >= :since), 9223372036854775807)
             ) numbered WHERE later IS NULL ORDER BY seq",
        ),
        register: query(
            "INSERT INTO {subscription} (name, position, anchor, holes, state)
             VALUES (:name, :position, :anchor, :holes, 'running') ON CONFLICT (name) DO NOTHING",
        ),
        subscriptions: query("SELECT position, SUBSTR(holes, 1, 20), name FROM {subscription} ORDER BY name"),
        lowest_needed: query(
            "SELECT (SELECT MIN(t.seq) FROM {hold} t WHERE t.subscription = :name),
                 (SELECT MIN(r.seq + 0) FROM {receipt} r WHERE r.subscription = :name AND r.ack_due_at IS NOT NULL)",
        ),
        purgeable: query(
            "SELECT MAX(seq), MIN(CASE WHEN created_at
                     > strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', printf('-%.6f seconds', :keep / 1e6)) THEN seq END),
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
            version: query("SELECT sqlite_version()"),
            missing: query(
                "SELECT wanted.value FROM json_each(:tables) wanted
                 WHERE NOT EXISTS (SELECT 1 FROM sqlite_master t WHERE t.type = 'table' AND t.name = wanted.value)",
            ),
            facts: query(
                "SELECT t.sql, (SELECT m.dflt_value FROM pragma_table_info(t.name) m WHERE m.name = 'created_at')
                 FROM sqlite_master t WHERE t.type = 'table' AND t.name = :event",
            ),
        },
        proof: ProofSql::SingleWriter {
            last_number: query("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = :event), 0)"),
        },
        moment: "%Y-%m-%dT%H:%M:%S%.6f+00:00",
    }
}
