package git

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/cache"
	"github.com/leakreach/leakreach/providers/internal/pack"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// Objects lists objects of the repository by their ids, from the cache or, if that does not have all of them, fetched by themselves: a file's
// content without a path, a commit or tag as git stores it. One that cannot be had is a gap.
func (m *Remote) Objects(ctx context.Context, ids []string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		store, done, err := m.storeOf(ctx, ids)
		if err != nil {
			yield(audit.Item{}, cmpErr(ctx.Err(), fmt.Errorf("fetching objects of %s: %w", m.url.Redacted(), err)))
			return
		}
		defer done()
		for _, id := range ids {
			binary, _ := pack.ParseID(id, store.IDSize)
			kind, content, err := store.Read(ctx, binary)
			if ctx.Err() != nil {
				yield(audit.Item{}, ctx.Err())
				return
			}
			it := audit.Item{Kind: audit.KindFile, At: audit.Location{Kind: audit.InCommit}, Size: int64(len(content)), Object: id, Content: content}
			switch {
			case err != nil:
				it, err = audit.Item{}, &audit.Gap{What: "object " + printable(id), Why: err.Error()}
			case kind == pack.Commit || kind == pack.Tag:
				it.Kind, it.At.Commit, it.At.Name, it.At.Object = audit.KindCommit, id, kind.String(), id
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// storeOf opens a store that has objects of the repository, until done is called.
func (m *Remote) storeOf(ctx context.Context, ids []string) (store *pack.Store, done func(), err error) {
	if m.wire == nil {
		return nil, nil, errors.New(m.why)
	}
	size := map[string]int{"sha1": 20, "sha256": 32}[m.wire.Format]
	options := pack.Options{IDSize: size, Limit: m.Memory.Share(8, maxContent), Lend: m.Memory.Share(64, maxLent)}
	var tips []string
	for _, ref := range m.refs.List {
		tips = append(tips, ref.ID)
	}
	if e := cache.Open(m.Cache, m.wire.URL, m.wire.Format, tips); e != nil {
		if store, err = pack.Open(ctx, []string{e.Objects()}, options); err == nil && store.HasAll(ids) {
			return store, func() { store.Close(); e.Close() }, nil
		}
		if err == nil {
			store.Close()
		}
		e.Close()
	}
	dir, err := os.MkdirTemp("", "leakreach-clone-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	err = os.MkdirAll(packDir(dir), 0o700)
	if err == nil {
		err = m.fetch(ctx, wire.Request{Wants: ids, Alone: true}, dir)
	}
	if err == nil {
		store, err = pack.Open(ctx, []string{filepath.Join(dir, "objects")}, options)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	return store, func() { store.Close(); remove() }, nil
}
