// Package store keeps what outlives a process: runs, their targets, what was found in each, and the queue of what is still to be done.
// It is a SQLite database of the process's own or in a file, or PostgreSQL shared by several machines; all of it is written in SQL that both read.
//
// No secret's value is ever in it. A finding is stored in the form that reports print, with keyed digests by which its secret is known again.
//
// [Open] opens one. Work is done by jobs of package river in the same database, so that what a job found and that it is done
// are one transaction: see [Store.Tx] and [Store.Driver].
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

//go:embed migrations
var migrations embed.FS

// A Store is an open database. It is safe for concurrent use.
type Store struct {
	db       *sql.DB
	driver   riverdriver.Driver[*sql.Tx]
	postgres bool
	pool     *pgxpool.Pool // that database/sql and River's listener share, or nil
	lock     *os.File      // of a file that one process works with, or nil
	counted  sync.Map      // audit.Quota: what requests of this process count in
}

// Open opens the store at where, and brings it up to date: "" is in memory, or in a file that only this process sees, and ends with the process, postgres://… is shared, anything
// else is a file, which one process uses at a time and nobody else may read.
func Open(ctx context.Context, where string, log *slog.Logger) (*Store, error) {
	if err := Check(where); err != nil {
		return nil, err
	}
	s := &Store{}
	var err error
	if IsShared(where) {
		err = s.openPostgres(ctx, where)
	} else {
		err = s.openSQLite(ctx, where)
		if err == nil {
			err = s.fresh(ctx, schema)
		}
	}
	if err == nil {
		err = s.migrate(ctx, log)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("opening the store %s: %w", name(where), err)
	}
	return s, nil
}

// postgresForm is how to name a database without its password.
const postgresForm = "write it as postgres://USER@HOST/DATABASE; PGPASSWORD or ~/.pgpass hold the password"

// Of what is no name of a file: what libpq takes in place of an address, see
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE, and addresses of another form.
var (
	keywords = lazyregexp.New(`(^|\s)(host|hostaddr|dbname|user|password|service)\s*=`)
	address  = lazyregexp.New(`^[A-Za-z][A-Za-z0-9+.-]+:/|:[^/\\]*@`)
)

// Check tells whether where can name a store. What looks like an address and is none is not repeated, nor made a file: there may be a password in it.
func Check(where string) error {
	if !IsShared(where) {
		if keywords().MatchString(where) || address().MatchString(where) {
			return audit.Hint(fmt.Errorf("%w: opening the store: neither the name of a file nor an address of PostgreSQL", audit.ErrUsage), postgresForm)
		}
		return nil
	}
	// A password with characters of an address's own ends the host, and lies in what follows.
	if u, err := url.Parse(where); err != nil || u.Fragment != "" || strings.Contains(u.Path, "@") || strings.Contains(u.RawQuery, "@") {
		return audit.Hint(fmt.Errorf("%w: opening the store: not an address of PostgreSQL", audit.ErrUsage), postgresForm)
	}
	return nil
}

// IsShared tells whether where names a store that several processes work with at once.
func IsShared(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// name is where without a password.
func name(where string) string {
	if where == "" {
		return "in memory"
	}
	if !IsShared(where) {
		return where
	}
	if u, err := url.Parse(where); err == nil && u.RawQuery == "" {
		return u.Redacted()
	}
	scheme, rest, _ := strings.Cut(where, "://")
	rest, _, _ = strings.Cut(rest[strings.LastIndexByte(rest, '@')+1:], "?") // a password can stand there, too
	return scheme + "://" + rest
}

// Close ends the use of the store.
func (s *Store) Close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Driver is what makes a client of River work in this store.
func (s *Store) Driver() riverdriver.Driver[*sql.Tx] { return s.driver }

func (s *Store) openPostgres(ctx context.Context, where string) error {
	config, err := pgxpool.ParseConfig(where)
	if err != nil {
		return audit.Hint(errors.New("not a connection string of PostgreSQL"), postgresForm)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	s.postgres = true
	s.db = stdlib.OpenDBFromPool(s.pool)
	s.driver = riverdatabasesql.NewWithPgxListener(s.db, s.pool)
	return s.db.PingContext(ctx)
}

// leastRoom is what the findings of the largest of runs take that nobody keeps, in bytes: a hundred thousand are some 40 MB.
const leastRoom = 256 << 20

// temporaryFiles tells whether this system takes any, of so many bytes: a container may have nothing that can be written, or little.
func temporaryFiles(bytes uint64) bool {
	f, err := os.CreateTemp("", "leakreach-")
	return err == nil && errors.Join(f.Close(), os.Remove(f.Name())) == nil && room(os.TempDir()) >= bytes
}

func (s *Store) openSQLite(ctx context.Context, where string) error {
	const foreignKeys = "?_pragma=foreign_keys(1)"
	var db *sql.DB
	if where == "" {
		dsn := "file:" + foreignKeys + "&_pragma=cache_size(-4096)"
		if !temporaryFiles(leastRoom) {
			dsn = "file::memory:" + foreignKeys + "&_pragma=temp_store(memory)"
		}
		db = sql.OpenDB(&unnamed{dsn: dsn})
	} else {
		if err := private(where); err != nil {
			return err
		}
		path, err := filepath.Abs(where)
		if err != nil {
			return err
		}
		if s.lock, err = lock(path + ".lock"); err != nil {
			return err
		}
		// A transaction that was committed survives the end of the process in NORMAL as in FULL; at a power cut the last ones may be missing,
		// whole: see sqlite.org/pragma.html#pragma_synchronous.
		dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String() +
			foreignKeys + "&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
		if db, err = sql.Open("sqlite", dsn); err != nil {
			return err
		}
	}
	db.SetMaxOpenConns(1) // a database without a name is that of its connection, and a file has one writer
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(0)
	s.db, s.driver = db, local{riversqlite.New(db)}
	return db.PingContext(ctx)
}

// errInUse says that another process works with the file.
var errInUse = audit.Hint(errors.New("another leakreach works with it"), "wait for it to end, or share a PostgreSQL store")

// local is the driver of a database that one process works with. Without a listener, River tells its queues itself of jobs that are added
// outside of transactions; with one it would ask the database twenty times a second.
type local struct{ *riversqlite.Driver }

func (local) SupportsListener() bool     { return false }
func (local) SupportsListenNotify() bool { return false }

// Tells says whether the database tells the queues of jobs that transactions have added.
func (s *Store) Tells() bool { return s.postgres }

// private makes the file of a store, readable by its owner alone, or refuses one that others can read.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a file")
	}
	if exposed(info) {
		return audit.Hint(fmt.Errorf("others can read it: its mode is %v", info.Mode().Perm()), "chmod 600 "+file)
	}
	return nil
}

// migrate makes the tables, River's and ours, or brings them up to date.
func (s *Store) migrate(ctx context.Context, log *slog.Logger) error {
	quiet := slog.New(slog.DiscardHandler)
	m, err := rivermigrate.New(s.driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return err
	}
	dialect := database.DialectSQLite3
	if s.postgres {
		dialect = database.DialectPostgres
		// Workers that start together would all make the tables.
		release, err := s.exclusive(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("making the tables of the queue: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, s.db, files, goose.WithVerbose(false))
	if err != nil {
		return err
	}
	results, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	for _, r := range results {
		log.Debug("store", "migration", r.Source.Path)
	}
	return nil
}

// migrationLock is the number of our lock among PostgreSQL's advisory ones: the first eight bytes of "leakreach".
const migrationLock = 0x6c65616b72656163

// exclusive waits until no other process migrates.
func (s *Store) exclusive(ctx context.Context) (release func(), err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock)) // ends with the connection at the latest
		_ = conn.Close()
	}, nil
}

// Tx does something in one transaction.
func (s *Store) Tx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// ignoreDone drops the error of rolling back what the database has rolled back itself.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
