package store

import (
	"context"
	"database/sql/driver"

	"modernc.org/sqlite"
)

// unnamed connects to a database without a name, which is its connection's own: in memory as far as its cache goes, and beyond that in a temporary file
// that has no name either, see sqlite.org/inmemorydb.html#temp_db. With the connection all of it would be gone, so that there is one as long as the store is
// open, whatever becomes of those that database/sql has. It may have one at a time.
type unnamed struct {
	dsn  string
	conn connection
}

// connection is what the driver's connections can do.
type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// lasting is a connection that database/sql does not close.
type lasting struct{ connection }

func (lasting) Close() error { return nil }

// Connect hands out the connection; what somebody who gave it up has left open is undone.
func (u *unnamed) Connect(ctx context.Context) (driver.Conn, error) {
	if u.conn == nil {
		conn, err := u.Driver().Open(u.dsn)
		if err != nil {
			return nil, err
		}
		u.conn = conn.(connection)
	} else {
		_, _ = u.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK", nil) // fails if there is nothing to undo
	}
	return lasting{u.conn}, nil
}

// Driver is that of the connection.
func (u *unnamed) Driver() driver.Driver { return &sqlite.Driver{} }

// Close ends the database, as the end of its [database/sql.DB] does.
func (u *unnamed) Close() error {
	if u.conn == nil {
		return nil
	}
	return u.conn.Close()
}
