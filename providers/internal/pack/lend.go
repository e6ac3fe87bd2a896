package pack

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/leakreach/leakreach/inflate"
)

const (
	// slabSize is the size of the slabs that small contents share. One content that is held keeps a whole slab.
	slabSize = 256 << 10
	// ownSlab is the size from which a content has a slab of its own: few enough fit into a shared one to waste much of it.
	ownSlab = 64 << 10
)

// A slab is memory for contents. It counts who still needs it: the consumer of each content lent, the walker that fills it, and
// the walkers that hold a content as the base of others.
type slab struct {
	from *lender
	buf  []byte
	used int
	hold int64        // what it counts for at the lender
	lent atomic.Int32 // contents at the consumer, and 1 while the slab is filled
	refs atomic.Int32 // bases held, and 1 while lent is not 0
	done func()       // giveBack, made once
}

// part takes n bytes of the slab, which are there, with room for the inflater behind them.
func (s *slab) part(n int) []byte {
	b := s.buf[s.used : s.used+n : s.used+n+inflate.Slack]
	s.used += n
	return b
}

// giveBack ends the loan of one content.
func (s *slab) giveBack() {
	if s.lent.Add(-1) == 0 {
		s.from.bytes.Release(s.hold)
		s.release()
	}
}

// release ends a reference.
func (s *slab) release() {
	if s.refs.Add(-1) == 0 {
		s.from.free(s)
	}
}

// A lender bounds the bytes of contents that are at the consumer, and reuses their memory.
type lender struct {
	bytes *semaphore.Weighted
	limit int64

	mu    sync.Mutex
	spare []*slab // to be used again, those unused for longest first
	size  int     // of all spare ones, in bytes
}

func newLender(limit int64) *lender {
	return &lender{bytes: semaphore.NewWeighted(limit), limit: limit}
}

// holdOf is what a slab of n bytes counts for: a content larger than the limit passes alone.
func (l *lender) holdOf(n int) int64 { return min(int64(n), l.limit) }

// tryTake returns a slab of at least n bytes if it can be had at once.
func (l *lender) tryTake(n int) *slab {
	if !l.bytes.TryAcquire(l.holdOf(n)) {
		return nil
	}
	return l.make(n)
}

// take waits for a slab.
func (l *lender) take(ctx context.Context, n int) (*slab, error) {
	if err := l.bytes.Acquire(ctx, l.holdOf(n)); err != nil {
		return nil, err
	}
	return l.make(n), nil
}

// make finds a spare slab of about the size, or makes one.
func (l *lender) make(n int) *slab {
	s := l.reuse(n)
	if s == nil {
		s = &slab{from: l, buf: make([]byte, n)}
		s.done = s.giveBack
	}
	s.used, s.hold = 0, l.holdOf(n)
	s.lent.Store(1)
	s.refs.Store(1)
	return s
}

func (l *lender) reuse(n int) *slab {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.spare) - 1; i >= 0; i-- { // the last one's memory is the warmest
		if s := l.spare[i]; len(s.buf) >= n && len(s.buf) <= 2*n {
			l.spare = slices.Delete(l.spare, i, i+1)
			l.size -= len(s.buf)
			return s
		}
	}
	return nil
}

func (l *lender) free(s *slab) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = append(l.spare, s)
	l.size += len(s.buf)
	for l.size > int(l.limit/2) { // it is for the slabs of the next moment, not of the whole listing
		l.size -= len(l.spare[0].buf)
		l.spare = slices.Delete(l.spare, 0, 1)
	}
}
