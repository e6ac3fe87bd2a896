package git

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
)

// maxLent bounds the bytes of contents handed out and not yet given back, and with it does a part of the memory; a larger content
// passes alone.
const maxLent = 32 << 20

func (r *Repository) lent() int64 { return r.memory.Share(64, maxLent) }

// A lender hands out buffers. It is safe for concurrent use.
type lender struct {
	bytes *semaphore.Weighted
	limit int64
	pools [28]sync.Pool // of *[]byte, by the power of two of their capacity
}

func newLender(limit int64) *lender {
	return &lender{bytes: semaphore.NewWeighted(limit), limit: limit}
}

// smallest is the capacity of the smallest buffers: most contents are small, and a few sizes keep the pools warm.
const smallest = 12 // 4 KiB

// take waits until size bytes may be lent. done gives them back; only its first call counts.
func (l *lender) take(ctx context.Context, size int64) (content []byte, done func(), err error) {
	class := max(smallest, bits.Len64(uint64(max(size, 1)-1)))
	hold := min(max(size, 256), l.limit) // an empty content still costs an item
	if err := l.bytes.Acquire(ctx, hold); err != nil {
		return nil, nil, err
	}
	buf, ok := l.pools[class].Get().(*[]byte)
	if !ok {
		b := make([]byte, 1<<class)
		buf = &b
	}
	var once sync.Once
	return (*buf)[:size:size], func() {
		once.Do(func() {
			l.pools[class].Put(buf)
			l.bytes.Release(hold)
		})
	}, nil
}
