package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Exec executes a statement.
func (s *Store) Exec(ctx context.Context, text string) error {
	_, err := s.db.ExecContext(ctx, text)
	return err
}

// Drop has database/sql give up the connection, in the middle of a transaction.
func (s *Store) Drop() error {
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(context.Background(), "BEGIN"); err != nil {
		return err
	}
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	_ = conn.Close() // it is closed already
	return nil
}

// TemporaryFiles tells whether a store without a name would have a file of so many bytes.
var TemporaryFiles = temporaryFiles
