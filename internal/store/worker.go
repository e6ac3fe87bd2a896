package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// silent is after how long a worker that said nothing is taken for dead: longer than a pause of its machine or of the database usually is.
const silent = 15 * time.Second

// Beat is how often a worker says that it is alive.
const Beat = silent / 3

// words are what the two databases say differently.
var words = map[bool]*strings.Replacer{
	false: strings.NewReplacer("{now}", `CAST(unixepoch('subsec') * 1000 AS INTEGER)`, "{holder}", `json_extract(attempted_by, '$[#-1]')`, "{bytes}", ``),
	true:  strings.NewReplacer("{now}", `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`, "{holder}", `attempted_by[array_length(attempted_by, 1)]`, "{bytes}", `COLLATE "C"`),
}

// sql is a statement in the words of this database: {now} is its time, in milliseconds since 1970, as the clocks of its users need not agree;
// {holder} is who works on a job; {bytes} orders a text by its bytes, as Go does.
func (s *Store) sql(text string) string { return words[s.postgres].Replace(text) }

// Alive says that a worker is. late tells that it had not said so for long enough to be taken for dead, as all others may have been if it was
// the database that was away.
func (s *Store) Alive(ctx context.Context, worker string) (late bool, err error) {
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		row := tx.QueryRowContext(ctx, s.sql(`SELECT seen < {now} - $2 FROM workers WHERE id = $1`), worker, silent.Milliseconds())
		if err := row.Scan(&late); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO workers (id, seen) VALUES ($1, {now}) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`), worker)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("saying that this process is alive: %w", err)
	}
	return late, nil
}

// Free gives back the jobs of processes that are dead, and tells how many: those of all others for a file, which one process
// works with; of those that have not been seen for a while where a store is shared.
func (s *Store) Free(ctx context.Context, worker string) (int64, error) {
	text, args := `UPDATE river_job SET state = 'available' WHERE state = 'running' AND kind IN ('list', 'scan', 'settle', 'verify') AND {holder} <> $1`, []any{worker}
	if s.postgres {
		text += ` AND NOT EXISTS (SELECT 1 FROM workers WHERE id = {holder} AND seen > {now} - $2)`
		args = append(args, silent.Milliseconds())
	}
	done, err := s.db.ExecContext(ctx, s.sql(text), args...)
	if err != nil {
		return 0, fmt.Errorf("taking over the jobs of processes that ended: %w", err)
	}
	return done.RowsAffected()
}

// Held lists the jobs that a worker has, as far as the database knows.
func (s *Store) Held(ctx context.Context, worker string) ([]int64, error) {
	return query(ctx, s.db, s.sql(`SELECT id FROM river_job WHERE state = 'running' AND {holder} = $1`), func(rows *sql.Rows) (id int64, err error) {
		return id, rows.Scan(&id)
	}, worker)
}

// Return gives back a job that its worker does not know of: the answer that gave it was lost.
func (s *Store) Return(ctx context.Context, worker string, job int64) error {
	_, err := s.db.ExecContext(ctx, s.sql(`UPDATE river_job SET state = 'available' WHERE id = $1 AND state = 'running' AND {holder} = $2`), job, worker)
	return err
}

// Hold makes sure, and sees to it that it stays so until the transaction ends, that a job has not been done. A process that was taken for dead,
// because its machine slept or its network was away, and the one that was given its job may both do it: the first to be done completes it.
func (s *Store) Hold(ctx context.Context, tx *sql.Tx, job int64) error {
	done, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'running' WHERE id = $1 AND finalized_at IS NULL`, job)
	if err != nil {
		return fmt.Errorf("holding a job: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errLost)
	}
	return nil
}

// IsDone tells whether an error says that a job need not be done any more.
func IsDone(err error) bool { return errors.Is(err, errLost) }

// errLost says that a job need not be done any more.
var errLost = errors.New("another process, which took this one for dead, has done the job")
