package store

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Key returns the store's own key of ids and fingerprints, which is made when it is first asked for: the same for all processes.
func (s *Store) Key(ctx context.Context) (key string, err error) {
	fresh := rand.Text() + rand.Text() // 130 bits each: of those that are made at once, one is kept
	_, err = s.db.ExecContext(ctx, `INSERT INTO store_key (one, value) VALUES (1, $1) ON CONFLICT DO NOTHING`, fresh)
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT value FROM store_key`).Scan(&key)
	}
	if err != nil {
		return "", fmt.Errorf("reading the store's key: %w", err)
	}
	return key, nil
}
