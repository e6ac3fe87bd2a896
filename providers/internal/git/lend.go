package git

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// maxLent bounds the bytes of contents handed out and not yet given back, and with it does a part of the memory; a larger content
// passes alone.
const maxLent = 32 << 20

func (r *Repository) lent() int64 { return r.memory.Share(64, maxLent) }

// A lender hands out memory for the few contents that git has to be asked for. It is safe for concurrent use.
type lender struct {
	bytes *semaphore.Weighted
	limit int64
}

func newLender(limit int64) *lender { return &lender{semaphore.NewWeighted(limit), limit} }

// take waits until size bytes may be lent. done gives them back; only its first call counts.
func (l *lender) take(ctx context.Context, size int64) (content []byte, done func(), err error) {
	hold := min(max(size, 256), l.limit) // an empty content still costs an item
	if err := l.bytes.Acquire(ctx, hold); err != nil {
		return nil, nil, err
	}
	return make([]byte, size), sync.OnceFunc(func() { l.bytes.Release(hold) }), nil
}
