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

/// How often an operator has intervened: of no table of the statement's, so that it is asked for once.
macro_rules! interventions {
    () => {
        "(SELECT s.interventions FROM {subscription} s WHERE s.name = :name)"
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
             last_error TEXT CHARACTER SET utf8mb4 PATH '$.last_error',
             replay CHAR(32) CHARACTER SET utf8mb4 PATH '$.replay')) h"
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

/// A hold with its event, if that is there, as [`holds`](super::super::holds) takes them.
macro_rules! held {
    () => {
        "e.seq, e.id, e.topic, e.event_type, e.event_version, e.aggregate_type, e.aggregate_id, e.payload,
         e.headers, CAST(NULL AS DATETIME(6)), e.occurred_at, e.created_at,
         t.state, t.attempts, t.due_at, t.last_error, t.replay, t.aggregate_type, t.aggregate_id, t.seq"
    };
}

pub(super) fn sql() -> Sql {
    let query = |text| Query::new(DbBackend::MySql, text);
    Sql {
        read_tail: query(concat!(
            "SELECT ",
            columns!(),
            ", ",
            interventions!(),
            " FROM {event} e WHERE e.seq >= :position ORDER BY e.seq LIMIT :limit_with_anchor"
        )),
        // The union carries numbers only: with the texts in it, it would be written to a temporary table on disk.
        // The optimiser must not turn the join around, which is what STRAIGHT_JOIN says.
        read_with_holes: query(concat!(
            "SELECT STRAIGHT_JOIN ",
            columns!(),
            ", ",
            interventions!(),
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
                 replay, first_failed_at)
             SELECT :name, h.seq, h.aggregate_type, h.aggregate_id, h.state, h.attempts, ",
            due!(),
            ", h.last_error, UNHEX(h.replay), ",
            failed!(),
            " FROM ",
            holds!(),
            " ON DUPLICATE KEY UPDATE first_failed_at = COALESCE({hold}.first_failed_at, VALUES(first_failed_at)),
                 aggregate_type = VALUES(aggregate_type), aggregate_id = VALUES(aggregate_id),
                 state = VALUES(state), attempts = VALUES(attempts), due_at = VALUES(due_at),
                 last_error = VALUES(last_error), replay = VALUES(replay)"
        )),
        hold_update: query(concat!(
            "UPDATE ",
            holds!(),
            " STRAIGHT_JOIN {hold} t ON t.subscription = :name AND t.seq = h.seq
             SET t.aggregate_type = h.aggregate_type, t.aggregate_id = h.aggregate_id, t.replay = UNHEX(h.replay),
                 t.state = h.state, t.attempts = h.attempts, t.due_at = ",
            due!(),
            ", t.last_error = h.last_error, t.first_failed_at = COALESCE(t.first_failed_at, ",
            failed!(),
            ")"
        )),
        hold_delete: query(
            "DELETE t FROM JSON_TABLE(:seqs, '$[*]' COLUMNS (seq BIGINT PATH '$')) h
             STRAIGHT_JOIN {hold} t ON t.subscription = :name AND t.seq = h.seq",
        ),
        due: query(concat!(
            "SELECT STRAIGHT_JOIN ",
            held!(),
            " FROM (SELECT seq FROM {hold} WHERE subscription = :name AND due_at <= UTC_TIMESTAMP(6)
                    ORDER BY seq + 0 LIMIT :limit) w
             JOIN {hold} t ON t.subscription = :name AND t.seq = w.seq
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        // Compared as bytes: this collation takes a text and the same one with spaces behind it for one.
        stopped: query(
            "SELECT MIN(aggregate_type), MIN(aggregate_id), MAX(state = 'retry'), MAX(state = 'dead'),
                 MAX(state = 'blocked')
             FROM {hold} WHERE subscription = :name AND aggregate_type IS NOT NULL AND aggregate_id IS NOT NULL
             GROUP BY CAST(aggregate_type AS BINARY), CAST(aggregate_id AS BINARY)",
        ),
        // There is no LATERAL on MariaDB and no LIMIT in an IN: the last one wanted of each key is found first. The
        // limit keeps the optimiser from merging that into the join, where it would be looked for once a row.
        blocked: query(concat!(
            "SELECT STRAIGHT_JOIN ",
            held!(),
            " FROM (
                 SELECT k.aggregate_type, k.aggregate_id,
                     (SELECT x.seq FROM {hold} x
                      WHERE x.subscription = :name AND x.aggregate_type = k.aggregate_type
                        AND x.aggregate_id = k.aggregate_id AND x.state = 'blocked'
                        AND CAST(x.aggregate_type AS BINARY) = CAST(k.aggregate_type AS BINARY)
                        AND CAST(x.aggregate_id AS BINARY) = CAST(k.aggregate_id AS BINARY)
                      ORDER BY x.seq LIMIT 1 OFFSET :each_but_one) AS last
                 FROM JSON_TABLE(:keys, '$[*]' COLUMNS (
                     aggregate_type VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
                     aggregate_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]')) k
                 LIMIT 1000000
             ) w
             JOIN {hold} t ON t.subscription = :name AND t.aggregate_type = w.aggregate_type
                 AND t.aggregate_id = w.aggregate_id AND t.seq <= COALESCE(w.last, 9223372036854775807)
                 AND t.state = 'blocked'
                 AND CAST(t.aggregate_type AS BINARY) = CAST(w.aggregate_type AS BINARY)
                 AND CAST(t.aggregate_id AS BINARY) = CAST(w.aggregate_id AS BINARY)
             LEFT JOIN {event} e ON e.seq = t.seq ORDER BY t.seq"
        )),
        next_due: query(
            "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), MIN(due_at)) FROM {hold}
             WHERE subscription = :name AND due_at IS NOT NULL",
        ),
        look: query(
            "SELECT s.position, s.anchor, s.holes, s.flush_no, s.state,
                 CAST(CASE WHEN s.owner IS NULL OR s.lease_until IS NULL THEN 0
                      ELSE TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), s.lease_until) END AS SIGNED),
                 s.anchor IS NULL OR EXISTS (SELECT 1 FROM {event} e WHERE e.seq = s.position AND e.id = s.anchor),
                 s.interventions, UTC_TIMESTAMP(6)
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
             WHERE name = :name AND owner = :owner",
        ),
        intervene: query("UPDATE {subscription} SET interventions = interventions + 1 WHERE name = :name"),
        interventions: query("SELECT interventions FROM {subscription} WHERE name = :name AND owner = :owner"),
        release: query(
            "UPDATE {subscription} SET owner = NULL, lease_until = UTC_TIMESTAMP(6)
             WHERE name = :name AND owner = :owner",
        ),
        report: query(
            "UPDATE {subscription}
             SET state_since = CASE WHEN state = :state THEN state_since ELSE UTC_TIMESTAMP(6) END,
                 state = :state, last_error = :error
             WHERE name = :name AND owner = :owner AND state <> 'paused'",
        ),
        describe: query(
            "UPDATE {subscription}
             SET leader = :leader, topics = :topics, skipped_topics = :skipped, ordering = :ordering
             WHERE name = :name AND owner = :owner",
        ),
        hold_counts: query("SELECT state, COUNT(*) FROM {hold} WHERE subscription = :name GROUP BY state"),
        oldest_pending: query(concat!(
            "SELECT seen, TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) FROM (
                 SELECT STRAIGHT_JOIN e.seq, e.created_at, ROW_NUMBER() OVER (ORDER BY e.seq) AS seen,
                     e.topic <> '' AND (:topics IS NULL OR JSON_CONTAINS(:topics, JSON_QUOTE(e.topic))) AS taken
                 FROM (
                     (SELECT STRAIGHT_JOIN x.seq FROM ",
            ranges!(),
            "         JOIN {event} x FORCE INDEX (PRIMARY) ON x.seq BETWEEN hole.first AND hole.last)
                   UNION ALL
                     (SELECT x.seq FROM {event} x WHERE x.seq > :position ORDER BY x.seq LIMIT :limit)
                   ORDER BY seq LIMIT :limit
                 ) w JOIN {event} e FORCE INDEX (PRIMARY) ON e.seq = w.seq
             ) looked_at WHERE taken OR seen = :limit ORDER BY seq LIMIT 1"
        )),
        receipt_insert: query(
            "INSERT INTO {receipt} (subscription, seq, broker_id, dispatched_at, ack_due_at)
             SELECT :name, r.seq, r.broker_id, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL r.ack_within MICROSECOND
             FROM JSON_TABLE(:receipts, '$[*]' COLUMNS (
                 seq BIGINT PATH '$.seq',
                 broker_id VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.broker_id',
                 ack_within BIGINT PATH '$.ack_within')) r
             ON DUPLICATE KEY UPDATE broker_id = VALUES(broker_id), dispatched_at = VALUES(dispatched_at),
                 ack_due_at = CASE WHEN {receipt}.acknowledged_at IS NULL THEN VALUES(ack_due_at) END",
        ),
        receipt_delete: query(
            "DELETE r FROM JSON_TABLE(:seqs, '$[*]' COLUMNS (seq BIGINT PATH '$')) h
             STRAIGHT_JOIN {receipt} r ON r.subscription = :name AND r.seq = h.seq",
        ),
        overdue: query(
            "SELECT seq FROM {receipt} WHERE subscription = :name AND ack_due_at <= UTC_TIMESTAMP(6)
             ORDER BY ack_due_at LIMIT :limit FOR UPDATE",
        ),
        resend: query(
            "INSERT IGNORE INTO {hold} (subscription, seq, state, attempts, due_at)
             SELECT :name, h.seq, 'scheduled', 0, UTC_TIMESTAMP(6)
             FROM JSON_TABLE(:seqs, '$[*]' COLUMNS (seq BIGINT PATH '$')) h",
        ),
        await_again: query(
            "UPDATE JSON_TABLE(:seqs, '$[*]' COLUMNS (seq BIGINT PATH '$')) h
             STRAIGHT_JOIN {receipt} r ON r.subscription = :name AND r.seq = h.seq
             SET r.ack_due_at = UTC_TIMESTAMP(6) + INTERVAL :within MICROSECOND",
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
            "SELECT position, SUBSTR(holes, 1, 20), name FROM {subscription} ORDER BY name",
        ),
        lowest_needed: query(
            "SELECT (SELECT MIN(t.seq) FROM {hold} t WHERE t.subscription = :name),
                 (SELECT MIN(r.seq + 0) FROM {receipt} r WHERE r.subscription = :name AND r.ack_due_at IS NOT NULL)",
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
        purge_receipts:
            query("DELETE FROM {receipt} WHERE subscription = :name AND seq > :floor AND seq <= :upto"),
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
