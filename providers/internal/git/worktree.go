package git

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's object ids are SHA-1
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// maxListing bounds a listing of files, in bytes: some ten million paths.
const maxListing = 1 << 30

// Known lists what git has of the working tree's files: the ids that HEAD and the index hold, by path as stored. A file that
// is in neither is untracked.
func (r *Repository) Known(ctx context.Context) (map[string][]string, error) {
	known := map[string][]string{}
	head := r.references().head
	var errs []error
	if head != "" {
		tree, err := r.Tree(ctx, head)
		if err != nil {
			errs = append(errs, err)
		}
		for path, oid := range tree {
			known[path] = append(known[path], oid)
		}
	}
	entries, err := r.index(r.GitDir)
	if err != nil {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if !e.tree {
			known[e.path] = append(known[e.path], e.id)
		}
	}
	return known, errors.Join(errs...)
}

// Ignored lists the files and whole directories, with a slash at their end, that the working tree's ignore files name.
func (r *Repository) Ignored(ctx context.Context) (map[string]bool, error) {
	exclude := filepath.Join(r.CommonDir, "info", "exclude")
	if b, err := readSmall(exclude); err == nil {
		if err := os.WriteFile(filepath.Join(r.shadow, "info", "exclude"), b, 0o600); err != nil {
			return nil, fmt.Errorf("copying ignore file: %w", err)
		}
	}
	env := []string{"GIT_WORK_TREE=" + r.Root, "GIT_INDEX_FILE=" + filepath.Join(r.GitDir, "index")}
	p, err := r.startEnv(ctx, env, nil, "-C", r.Root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	out, err := readAll(p.out, maxListing)
	if err == nil {
		err = p.wait()
	}
	ignored := map[string]bool{}
	for path := range bytes.SplitSeq(out, []byte{0}) {
		if len(path) > 0 {
			ignored[string(path)] = true
		}
	}
	return ignored, err
}

// BlobID returns the id that a content of the given size would have in the repository. unix is the id that it would have with
// line ends of Unix, and "" if it has those: git stores text so where it is told to convert line ends.
func (r *Repository) BlobID(in io.Reader, size int64) (oid, unix string, err error) {
	raw := r.newHash(size)
	content, err := io.ReadAll(io.TeeReader(io.LimitReader(in, size+1), raw))
	if err != nil {
		return "", "", err
	}
	if int64(len(content)) != size {
		return "", "", errors.New("it changed while it was read")
	}
	if text := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")); len(text) != len(content) {
		h := r.newHash(int64(len(text)))
		h.Write(text)
		unix = hex.EncodeToString(h.Sum(nil))
	}
	return hex.EncodeToString(raw.Sum(nil)), unix, nil
}

func (r *Repository) newHash(size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // see above
	if r.format == "sha256" {
		h = sha256.New()
	}
	_, _ = fmt.Fprintf(h, "blob %d\x00", size)
	return h
}
