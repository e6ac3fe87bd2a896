package store

import "context"

// Exec executes a statement.
func (s *Store) Exec(ctx context.Context, text string) error {
	_, err := s.db.ExecContext(ctx, text)
	return err
}
