package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrWorkedOn says that a run is open while processes work with the store, so that one of them may be working on it.
var ErrWorkedOn = errors.New("the run is open, and a process may be working on it")

// Remove deletes a run with all that is stored of it and what is still to be done for it.
func (s *Store) Remove(ctx context.Context, id string) error {
	if s.postgres { // a file is this process's alone
		workers, err := s.Workers(ctx)
		if err != nil {
			return err
		}
		finished, err := s.Finished(ctx, id)
		if err != nil {
			return err
		}
		if workers > 0 && !finished {
			return ErrWorkedOn
		}
	}
	err := s.Tx(ctx, func(tx *sql.Tx) error {
		for _, text := range []string{`DELETE FROM river_job WHERE queue IN ($1, $2, $3, $4, $5)`, `DELETE FROM river_queue WHERE name IN ($1, $2, $3, $4, $5)`} {
			if _, err := tx.ExecContext(ctx, text, Lists.Of(id), Settings.Of(id), Records.Of(id), Scans.Of(id), Verifications.Of(id)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = $1`, id) // and by its foreign keys all that is of it
		return err
	})
	if err != nil {
		return fmt.Errorf("removing run %s: %w", id, err)
	}
	return nil
}

// Compact gives the room that removed runs have left back to the file system. PostgreSQL does it by itself, and uses it again first.
func (s *Store) Compact(ctx context.Context) error {
	if s.postgres {
		return nil
	}
	for _, text := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := s.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("compacting the store: %w", err)
		}
	}
	return nil
}
