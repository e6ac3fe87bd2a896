package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Drop has database/sql give up the connection.
func Drop(s *Store) error {
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return err
	}
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	_ = conn.Close() // it is closed already
	return nil
}
