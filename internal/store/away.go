package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Away tells whether an error is one that passes: the database is being restarted, cannot be reached, or has no room left. What was to be
// done was not done, and can be done again. why says what is the matter, in words for the operator.
func Away(err error) (why string, away bool) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "", false
	}
	const full, silent = "its disk is full", "it does not answer"
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff { // the rest says more closely why: sqlite.org/rescode.html
		case sqlite3.SQLITE_FULL:
			return full + "; without --store it is that of temporary files, for which SQLITE_TMPDIR names a directory", true
		case sqlite3.SQLITE_IOERR:
			return "its file cannot be read or written", true
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return silent, true
		}
		return "", false
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) { // postgresql.org/docs/current/errcodes-appendix.html
		switch {
		case e.Code == "53100":
			return full, true
		case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "57P"): // connection, resources, shut down
			return silent, true
		case e.Code == "40001", e.Code == "40P01": // two transactions stood in each other's way
			return "it was busy", true
		}
		return "", false
	}
	connect, network := (*pgconn.ConnectError)(nil), net.Error(nil)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return full, true
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), pgconn.SafeToRetry(err):
		return silent, true
	}
	return "", false
}
