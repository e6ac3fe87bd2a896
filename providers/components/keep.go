package components

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// freshness is how long a listing of branches and tags is taken for today's. A tag that was moved is noticed by the first run after that.
const freshness = 10 * time.Minute

// known is what is known of a repository. Files of a commit hold for good; what branches and tags are, for a while.
type known struct {
	Listed time.Time
	Refs   []wire.Ref        // branches and tags
	Reach  map[string]string // whether those lead to a commit, by its id
	Files  map[string]file   // by commit and the component's path

	remote *wire.Remote // nil until it is needed; one goroutine at a time asks a repository
}

// fresh tells whether what was listed at a time needs not be listed again.
func fresh(listed, now time.Time, most time.Duration) bool {
	age := now.Sub(listed)
	return age >= 0 && age < most
}

// A keeper keeps what is known of repositories, for a run and, where there is a cache, for the next one.
type keeper struct {
	env audit.Env
	dir string // "" for none

	mu    sync.Mutex
	known map[string]*known // by address
}

func newKeeper(env audit.Env) *keeper {
	k := &keeper{env: env, known: map[string]*known{}}
	if env.Cache.Dir != "" {
		k.dir = filepath.Join(env.Cache.Dir, "components")
		k.tidy()
	}
	return k
}

// unused is how long what nobody has asked for is kept.
const unused = 90 * 24 * time.Hour

// tidy removes what was not used for long. What cannot be removed stays.
func (k *keeper) tidy() {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return // there is none yet
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && k.env.Now().Sub(info.ModTime()) > unused {
			_ = os.Remove(filepath.Join(k.dir, e.Name()))
		}
	}
}

func (k *keeper) file(address string) string {
	digest := sha256.Sum256([]byte(address))
	return filepath.Join(k.dir, hex.EncodeToString(digest[:16])+".json")
}

// maxKept is the size of the largest file that is read again, in bytes.
const maxKept = 32 << 20

// of is what is known of a repository, which nobody else asks until it is kept.
func (k *keeper) of(address string) *known {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.known[address]; known != nil {
		return known
	}
	out := &known{}
	if k.dir != "" {
		if err := read(k.file(address), out); err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.env.Log.Debug("what is kept of a component's repository is not read", "address", address, "error", err)
			out = &known{}
		}
	}
	if out.Files == nil {
		out.Files = map[string]file{}
	}
	return out
}

func read(name string, out any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, maxKept))
	if err != nil {
		return err
	}
	return json.Unmarshal(content, out)
}

// keep keeps it. A cache that cannot be written is none.
func (k *keeper) keep(address string, what *known) {
	k.mu.Lock()
	k.known[address] = what
	k.mu.Unlock()
	if k.dir == "" {
		return
	}
	if err := k.write(k.file(address), what); err != nil {
		k.env.Log.Debug("a component's repository is not kept", "address", address, "error", err)
	}
}

// write puts a file in its place as a whole.
func (k *keeper) write(name string, what any) error {
	content, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(k.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
