package store

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/riverqueue/river/riverdriver"
)

// schema makes at once what the migrations of SQLite make, River's and ours: one by one they take ten times as long, which is half
// the time that a scan of one line takes. Its first line ends with the digest of the migrations that it was made from.
//
//go:embed schema.sql
var schema string

// fresh runs a schema in a database that has nothing yet, unless it was made from other migrations than there are: then these run.
func (s *Store) fresh(ctx context.Context, schema string) error {
	var tables int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil || tables > 0 {
		return err
	}
	of, err := s.digest()
	if err != nil {
		return err
	}
	if first, _, _ := strings.Cut(schema, "\n"); !strings.HasSuffix(first, of) {
		return nil
	}
	if _, err := s.db.ExecContext(ctx, "BEGIN IMMEDIATE;\n"+schema+"COMMIT"); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	return nil
}

// digest is that of all migrations.
func (s *Store) digest() (string, error) {
	h := sha256.New()
	for _, files := range []fs.FS{s.driver.GetMigrationFS(riverdriver.MigrationLineMain), migrations} {
		err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(files, path)
			_, _ = fmt.Fprintf(h, "%s %d\n%s", path, len(content), content)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("reading migrations: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
