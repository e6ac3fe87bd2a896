package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A state is what is known of an entry.
type state struct {
	Format  string            `json:"format"` // of object ids: sha1 or sha256
	Packs   []string          `json:"packs"`
	Members map[string]member `json:"members"` // by key
	Rules   string            `json:"rules"`   // that it was scanned by
	Again   []string          `json:"again"`   // the objects that scanning said anything about

	announced []string // links by which other repositories find the entry from now on
}

// A member is a repository that the entry has all objects of.
type member struct {
	Tips    []string `json:"tips"`
	Links   []string `json:"links"`
	Scanned bool     `json:"scanned"`
}

const (
	stateFile = "state"
	// maxState bounds the file, in bytes: a repository with 100,000 refs and as many objects with findings has a quarter of it.
	maxState = 32 << 20
)

// readState reads what write wrote: a checksum, a line feed and JSON. Anything else is an error.
func readState(file string) (state, error) {
	info, err := os.Stat(file)
	if err != nil {
		return state{}, err
	}
	if info.Size() > maxState {
		return state{}, errors.New("the file is too large")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return state{}, err
	}
	return parseState(b)
}

var errState = errors.New("malformed state")

func parseState(b []byte) (s state, err error) {
	sum, text, _ := bytes.Cut(b, []byte("\n"))
	if string(sum) != checksum(text) {
		return state{}, errState
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("%w: %w", errState, err)
	}
	width := map[string]int{"sha1": 40, "sha256": 64}[s.Format]
	isID := func(id string) bool { return len(id) == width && strings.Trim(id, "0123456789abcdef") == "" }
	ok := width > 0 && all(s.Again, isID) && s.Members != nil
	ok = ok && all(s.Packs, func(name string) bool { return strings.HasPrefix(name, "pack-") && isID(name[len("pack-"):]) })
	for _, m := range s.Members {
		ok = ok && all(m.Tips, isID) && all(m.Links, func(name string) bool { return name == filepath.Base(name) && name != ".." })
	}
	if !ok {
		return state{}, errState
	}
	return s, nil
}

func all(list []string, ok func(string) bool) bool {
	for _, s := range list {
		if !ok(s) {
			return false
		}
	}
	return true
}

func checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// write replaces a file.
func (s *state) write(file string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(text) > maxState-100 {
		return errors.New("more is known of the repository than is kept")
	}
	return replace(file, append([]byte(checksum(text)+"\n"), text...))
}

// replace writes a file beside its name and moves it there: it is never seen half written, not even after the machine went down.
func replace(file string, content []byte) error {
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
