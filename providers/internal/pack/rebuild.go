package pack

import (
	"context"
	"fmt"
)

// needIndex makes an index of a pack that has none, by making all objects.
func (s *Store) needIndex(ctx context.Context, p *packFile) error {
	if p.index.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &walk{s: s, ctx: ctx, out: make(chan []Object, 1), lender: newLender(s.Lend)}
	go func() {
		defer close(w.out)
		w.pack(p, nil)
	}()
	lost := 0
	for batch := range w.out {
		for _, o := range batch {
			if o.Err != nil {
				lost++ // and it has no id by which it could be reported later
			}
		}
		giveBack(batch)
	}
	if lost > 0 {
		w.problem(p.name, fmt.Errorf("%d of its objects cannot be made", lost))
	}
	s.note(w.problems...)
	return ctx.Err()
}
