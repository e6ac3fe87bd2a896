package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// silent is after how long a worker that said nothing is taken for dead: longer than a pause of its machine or of the database usually is.
const silent = 15 * time.Second

// Beat is how often a worker says that it is alive.
const Beat = silent / 3

// Alive says that a worker is.
func (s *Store) Alive(ctx context.Context, worker string, now time.Time) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO workers (id, seen) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, worker, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("saying that this process is alive: %w", err)
	}
	return nil
}

// Free gives back the jobs of processes that are dead, and tells how many: those of all others for a file, which one process
// works with; of those that have not been seen for a while where a store is shared.
func (s *Store) Free(ctx context.Context, worker string, now time.Time) (int64, error) {
	holder := `json_extract(attempted_by, '$[#-1]')`
	if s.postgres {
		holder = `attempted_by[array_length(attempted_by, 1)]`
	}
	text, args := `UPDATE river_job SET state = 'available' WHERE state = 'running' AND `+holder+` <> $1`, []any{worker}
	if s.postgres {
		text += ` AND NOT EXISTS (SELECT 1 FROM workers WHERE id = ` + holder + ` AND seen > $2)`
		args = append(args, now.Add(-silent).UnixMilli())
	}
	done, err := s.db.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, fmt.Errorf("taking over the jobs of processes that ended: %w", err)
	}
	return done.RowsAffected()
}

// Hold makes sure, and sees to it that it stays so until the transaction ends, that a job is still this attempt's. One whose process was
// taken for dead, because its machine slept or its network was away, has been given to another.
func (s *Store) Hold(ctx context.Context, tx *sql.Tx, job int64, attempt int) error {
	done, err := tx.ExecContext(ctx, `UPDATE river_job SET attempt = attempt WHERE id = $1 AND attempt = $2 AND state = 'running'`, job, attempt)
	if err != nil {
		return fmt.Errorf("holding a job: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errLost)
	}
	return nil
}

// errLost says that a job is no longer the one's who works on it.
var errLost = errors.New("the job was given to another process, which takes this one for dead")
