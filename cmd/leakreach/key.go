package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/leakreach/leakreach/audit"
)

// minKey is the least length of LEAKREACH_FINGERPRINT_KEY, in bytes: below it the key itself could be guessed from a report.
const minKey = 16

// fingerprintKey returns the key of finding ids: from LEAKREACH_FINGERPRINT_KEY, else from a file of the user's that is made on
// first use. Ids are keyed because an unkeyed digest of a short secret can be guessed; they are stable as long as the key is.
func fingerprintKey(getenv func(string) string, log *slog.Logger) (audit.Key, error) {
	if v := getenv("LEAKREACH_FINGERPRINT_KEY"); v != "" {
		if len(v) < minKey {
			return audit.Key{}, fmt.Errorf("%w: LEAKREACH_FINGERPRINT_KEY has %d characters, fewer than %d", audit.ErrUsage, len(v), minKey)
		}
		return audit.KeyFrom([]byte(v)), nil
	}
	path := keyPath(getenv)
	if path != "" {
		key, err := keyFile(path)
		if err == nil {
			return key, nil
		}
		log.Warn("no key file: finding ids of this run will not be those of another", "error", err, "hint", "set LEAKREACH_FINGERPRINT_KEY")
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
