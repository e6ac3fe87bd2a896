package store

import (
	"context"
	"database/sql/driver"
	"sync"

	"modernc.org/sqlite"
)

// unnamed connects to a database without a name, which is its connection's own: in memory as far as its cache goes, and beyond that in a temporary file
// that has no name either, see sqlite.org/inmemorydb.html#temp_db. With the connection all of it would be gone, so that there is one as long as the store is
// open, whatever becomes of those that database/sql has, and as long as somebody has it. It may have one at a time.
type unnamed struct {
	dsn string

	mu    sync.Mutex // guards all below
	conn  connection
	lent  bool
	ended bool
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

// lasting is a connection that outlives what database/sql has of it.
type lasting struct {
	connection
	of *unnamed
}

func (l lasting) Close() error {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.of.lent = false
	return l.of.settle()
}

// Connect hands out the connection; what somebody who gave it up has left open is undone.
func (u *unnamed) Connect(ctx context.Context) (driver.Conn, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		conn, err := u.Driver().Open(u.dsn)
		if err != nil {
			return nil, err
		}
		u.conn = conn.(connection)
	} else {
		_, _ = u.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK", nil) // fails if there is nothing to undo
	}
	u.lent = true
	return lasting{u.conn, u}, nil
}

// Driver is that of the connection.
func (u *unnamed) Driver() driver.Driver { return &sqlite.Driver{} }

// Close ends the database, as the end of its [database/sql.DB] does. That does not wait for who is still in a query.
func (u *unnamed) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	return u.settle()
}

// settle closes the connection when nobody has it and nobody will.
func (u *unnamed) settle() error {
	if u.conn == nil || u.lent || !u.ended {
		return nil
	}
	conn := u.conn
	u.conn = nil
	return conn.Close()
}
