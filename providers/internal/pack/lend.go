package pack

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/leakreach/leakreach/providers/internal/inflate"
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
	pools [4 * 64]sync.Pool // of *slab, by class
}

func newLender(limit int64) *lender {
	return &lender{bytes: semaphore.NewWeighted(limit), limit: limit}
}

// class is the smallest of the sizes slabs have that n bytes fit into: each power of two, and three between it and the next, so
// that no more than a fifth of a slab is wasted.
func class(n int) (index, size int) {
	n = max(n, 4)
	step := bits.Len(uint(n-1)) - 3
	if step < 0 {
		return n, n
	}
	up := (n + 1<<step - 1) >> step // 4 to 8
	return 4*step + up, up << step
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

func (l *lender) make(n int) *slab {
	i, size := class(n)
	s, ok := l.pools[i].Get().(*slab)
	if !ok {
		s = &slab{from: l, buf: make([]byte, size)}
		s.done = s.giveBack
	}
	s.used, s.hold = 0, l.holdOf(n)
	s.lent.Store(1)
	s.refs.Store(1)
	return s
}

func (l *lender) free(s *slab) {
	i, _ := class(len(s.buf))
	l.pools[i].Put(s)
}
