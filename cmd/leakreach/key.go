package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// minKey is the least length of LEAKREACH_STORE_KEY, in bytes: below it the key itself could be guessed from a report.
const minKey = 16

// keyNames are the variables that may have the key. The second one is older.
var keyNames = [...]string{"LEAKREACH_STORE_KEY", "LEAKREACH_FINGERPRINT_KEY"}

// givenKey returns the key that the environment has, or "".
func givenKey(getenv func(string) string) (key string, err error) {
	for _, name := range keyNames {
		v := getenv(name)
		switch {
		case v == "":
		case len(v) < minKey:
			return "", fmt.Errorf("%w: %s has %d characters, fewer than %d", audit.ErrUsage, name, len(v), minKey)
		case key != "" && v != key:
			return "", fmt.Errorf("%w: %s and %s are not the same", audit.ErrUsage, keyNames[0], keyNames[1])
		default:
			key = v
		}
	}
	return key, nil
}

// storeKey returns the key of finding ids of a store that is kept: from the environment, else the store's own. All runs of a store have the
// same one, or what is new could not be told from what was found before.
func storeKey(ctx context.Context, getenv func(string) string, kept *store.Store) (audit.Key, error) {
	text, err := givenKey(getenv)
	if err != nil {
		return audit.Key{}, err
	}
	given := text != ""
	if !given {
		if text, err = kept.Key(ctx); err != nil {
			return audit.Key{}, err
		}
	}
	key := audit.KeyFrom([]byte(text))
	youngest, err := kept.Find(ctx, "")
	if errors.Is(err, store.ErrNoRun) {
		return key, nil
	}
	if err != nil {
		return audit.Key{}, err
	}
	r, err := recipeOf(youngest)
	if err != nil {
		return audit.Key{}, err
	}
	if r.Key == key.Digest("recipe") {
		return key, nil
	}
	hint := "set " + keyNames[0] + " to the key that they were made with; without it, remove them (leakreach runs --remove) or take another store"
	if given {
		hint = "set " + keyNames[0] + " to the key that they were made with, or unset it if they were made with the store's own"
	}
	return audit.Key{}, audit.Hint(fmt.Errorf("%w: the runs of this store are under another key, and under this one the same findings would have other ids", audit.ErrUsage), hint)
}

// fingerprintKey returns the key of finding ids of a run that is not kept: from the environment, else from a file of the user's that is made on
// first use. Ids are keyed because an unkeyed digest of a short secret can be guessed; they are stable as long as the key is.
func fingerprintKey(getenv func(string) string, log *slog.Logger) (audit.Key, error) {
	if v, err := givenKey(getenv); v != "" || err != nil {
		return audit.KeyFrom([]byte(v)), err
	}
	path := keyPath(getenv)
	if path != "" {
		key, err := keyFile(path)
		if err == nil {
			return key, nil
		}
		log.Warn("no key file: finding ids of this run will not be those of another", "error", err, "hint", "set "+keyNames[0])
	}
	return audit.KeyFrom([]byte(rand.Text())), nil
}

func keyPath(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" && getenv("HOME") != "" {
		dir = filepath.Join(getenv("HOME"), ".config")
	}
	if dir == "" || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "leakreach", "fingerprint.key")
}

// keyFile reads the key file, or makes it. Two processes that start at once agree: the link succeeds for one of them.
func keyFile(path string) (audit.Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return audit.Key{}, err
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return audit.Key{}, fmt.Errorf("reading key file: %w", err)
	}
	if len(b) < minKey {
		return audit.Key{}, fmt.Errorf("key file %s is damaged: %d bytes", path, len(b))
	}
	return audit.KeyFrom(b), nil
}

func makeKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making key file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("making key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(rand.Text() + rand.Text() + "\n")
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making key file: %w", err)
	}
	return nil
}
