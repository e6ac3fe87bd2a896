package store

import (
	"context"
	_ "embed"
	"fmt"
)

// schema makes what the migrations of SQLite make, River's and ours, from nothing: one by one they take ten times as long, which is half
// the time that a scan of one line takes. It may be behind them: what has come since is migrated.
//
//go:embed schema.sql
var schema string

// fresh runs the schema in a database that has nothing yet.
func (s *Store) fresh(ctx context.Context) error {
	var tables int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil || tables > 0 {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "BEGIN IMMEDIATE;\n"+schema+"COMMIT"); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	return nil
}
