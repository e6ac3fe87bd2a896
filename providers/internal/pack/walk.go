package pack

import (
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leakreach/leakreach/inflate"
)

const (
	// batchSize is how many objects are handed over at once: handing over costs about as much as making a small object. Their contents
	// are no more than batchBytes but for the last one: what is scanned soon is still in the processor's cache, and less is lent.
	batchSize  = 64
	batchBytes = slabSize
	// MaxHeld is more than what honest packs make walkers hold, on a machine of few cores.
	MaxHeld = 32 << 20
	// bigContent is the size from which contents are made by one walker at a time, so that their memory does not add up.
	bigContent = 16 << 20
	// All that is made may be this much more than what is stored: deltas of honest packs make some hundred times their size, deltas made
	// for it a million times.
	maxGrowth   = 4096
	growthOfAny = 8 << 30 // and any pack may make so much: some seconds' work
)

// Objects lists every stored object once, in no order. Contents are lent until their Done is called; the consumer must call it, and must
// not wait for further objects before it does. When ctx ends or the consumer breaks off, nothing is left running.
func (s *Store) Objects(ctx context.Context) iter.Seq[Object] { return s.list(ctx, false) }

// Structure is Objects without the contents of files, as far as they are told from the rest without being made. All packs must have
// come as a whole.
func (s *Store) Structure(ctx context.Context) iter.Seq[Object] { return s.list(ctx, true) }

func (s *Store) list(ctx context.Context, structure bool) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		leave, err := s.enter()
		if err != nil {
			yield(Object{Err: err})
			return
		}
		defer leave()
		ctx, cancel := context.WithCancel(ctx)
		w := &walk{s: s, ctx: ctx, out: make(chan []Object, 2*runtime.GOMAXPROCS(0)), lender: newLender(s.Lend), structure: structure}
		go func() {
			defer close(w.out)
			w.run()
		}()
		defer func() {
			cancel()
			for batch := range w.out {
				giveBack(batch)
			}
			s.note(w.problems...)
		}()
		for batch := range w.out {
			for i, o := range batch {
				if !yield(o) {
					giveBack(batch[i+1:])
					return
				}
			}
		}
	}
}

func giveBack(batch []Object) {
	for _, o := range batch {
		if o.Done != nil {
			o.Done()
		}
	}
}

// A walk is one listing of all objects.
type walk struct {
	s         *Store
	ctx       context.Context
	out       chan []Object
	lender    *lender
	structure bool         // contents of files are left out
	big       sync.Mutex   // held by a walker while it has big contents
	left      atomic.Int64 // bytes that may still be made of the pack
	mu        sync.Mutex   // guards all below, and the plan's pending
	found     []found      // in a pack without an index
	problems  []Problem
}

// run lists one pack after the other, and then what is loose.
func (w *walk) run() {
	for i, p := range w.s.packs {
		if w.ctx.Err() != nil {
			return
		}
		w.pack(p, w.wanted(i))
		if x := p.index.Load(); x != nil {
			x.forget() // all of it was looked at
		}
	}
	list := w.s.loose()
	w.parallel("", len(list), func(k *walker, i int) {
		if !w.s.packed(list[i].id, len(w.s.packs)) {
			k.loose(list[i])
		}
	})
}

// packed tells whether one of the first n packs has an object.
func (s *Store) packed(id ID, n int) bool {
	return slices.ContainsFunc(s.packs[:n], func(p *packFile) bool {
		_, ok := p.find(id)
		return ok
	})
}

// wanted returns what tells the objects of a pack that no pack before it has, or nil for all.
func (w *walk) wanted(i int) func(ID) bool {
	if i == 0 {
		return nil
	}
	return func(id ID) bool { return !w.s.packed(id, i) }
}

// pack lists the objects of a pack.
func (w *walk) pack(p *packFile, wanted func(ID) bool) {
	w.left.Store(w.s.growth)
	var come table
	if p.index.Load() == nil {
		var defect error
		come, defect = w.arrive(p)
		if p.settle(w.ctx) != nil {
			return // who receives it knows why
		}
		w.problem(p.name, defect)
	} else {
		w.left.Add(p.size * maxGrowth)
	}
	pl, err := w.plan(p, come, wanted)
	w.problem(p.name, err)
	if pl == nil {
		return
	}
	w.parallel(p.name, len(pl.roots), func(k *walker, i int) { k.family(pl, pl.roots[i]) })
	// What still waits for its base builds on something outside the pack, on something that does so, or on nothing.
	for solved := int64(1); solved > 0 && w.ctx.Err() == nil; {
		ids := slices.Collect(maps.Keys(pl.pending))
		var n atomic.Int64
		w.parallel(p.name, len(ids), func(k *walker, i int) {
			if k.strangers(pl, ids[i]) {
				n.Add(1)
			}
		})
		solved = n.Load()
	}
	for _, list := range pl.pending {
		w.parallel(p.name, len(list), func(k *walker, i int) { k.fail(pl, list[i], errBase) })
	}
	w.parallel(p.name, len(pl.bad), func(k *walker, i int) { k.failOne(pl, pl.bad[i].entry, pl.bad[i].err) })
	if pl.rows == nil && w.ctx.Err() == nil {
		p.index.Store(makeIndex(w.found, p.idSize))
		p.learnt.end()
	}
	w.found = nil
}

// plan makes a pack's plan.
func (w *walk) plan(p *packFile, come table, wanted func(ID) bool) (pl *plan, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guarded(&err)
	return newPlan(w.ctx, p, come, wanted)
}

func (w *walk) problem(file string, err error) {
	if err == nil || w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.problems, Problem{file, err}) { // a fault is met by many
		w.problems = append(w.problems, Problem{file, err})
	}
}

// parallel has walkers do n things. What is lost by a fault on a mapped file is a problem of the whole file.
func (w *walk) parallel(file string, n int, do func(k *walker, i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(w.s.walkers(), n) {
		group.Go(func() {
			k := &walker{walk: w, decoder: w.s.decoder()}
			defer k.end()
			debug.SetPanicOnFault(true)
			for i := next.Add(1) - 1; i < int64(n) && w.ctx.Err() == nil; i = next.Add(1) - 1 {
				w.problem(file, k.guard(func() { do(k, int(i)) }))
			}
		})
	}
	group.Wait()
}

// walkers is how many there are at once.
func (*Store) walkers() int { return runtime.GOMAXPROCS(0) }

// A walker lists families, one at a time.
type walker struct {
	*walk
	*decoder
	slab    *slab // that small contents are put into, or nil
	filling *slab // of a content that is being made, or nil
	batch   []Object
	batched int    // bytes of contents in batch
	bases   []base // that are being built on, from the root down
	held    int64  // bytes of all but the last
	hasBig  bool   // holds walk.big
}

// A base is an object of which others are made.
type base struct {
	entry   int32 // or none for one outside the pack
	child   int32 // the next to be made
	kind    Kind
	content []byte // nil if it was dropped, to be made again
	slab    *slab  // that content lies in, or nil
}

// end hands over what is left and gives back what was borrowed.
func (k *walker) end() {
	k.closeSlab()
	k.flush()
	k.s.decoders.Put(k.decoder)
}

// flush hands a batch over.
func (k *walker) flush() {
	if len(k.batch) == 0 {
		return
	}
	select {
	case k.out <- k.batch:
	case <-k.ctx.Done():
		giveBack(k.batch)
	}
	k.batch, k.batched = nil, 0
}

func (k *walker) add(o Object) {
	if k.batch == nil {
		k.batch = make([]Object, 0, batchSize)
	}
	k.batch, k.batched = append(k.batch, o), k.batched+len(o.Content)
	if len(k.batch) == batchSize || k.batched >= batchBytes {
		k.flush()
	}
}

func (k *walker) closeSlab() {
	if k.slab != nil {
		k.slab.giveBack()
		k.slab = nil
	}
}

// alloc takes memory for a content. Before it waits for anything, it lets go of all that others may be waiting for.
func (k *walker) alloc(n int) ([]byte, *slab, error) {
	if n >= bigContent && !k.hasBig {
		if !k.big.TryLock() {
			k.closeSlab()
			k.flush()
			k.big.Lock()
		}
		k.hasBig = true
	}
	need := n + inflate.Slack
	switch {
	case need >= ownSlab:
		s, err := k.take(need)
		if err != nil {
			return nil, nil, err
		}
		k.filling = s
	case k.slab != nil && len(k.slab.buf)-k.slab.used >= need:
		k.filling = k.slab
	default:
		k.closeSlab()
		s, err := k.take(slabSize)
		if err != nil {
			return nil, nil, err
		}
		k.slab, k.filling = s, s
	}
	return k.filling.part(n), k.filling, nil
}

func (k *walker) take(n int) (*slab, error) {
	if s := k.lender.tryTake(n); s != nil {
		return s, nil
	}
	k.closeSlab()
	k.flush()
	return k.lender.take(k.ctx, n)
}

// settle ends the making of a content, and with it the filling of a slab of its own.
func (k *walker) settle(s *slab) {
	k.filling = nil
	if s != k.slab {
		s.giveBack()
	}
}

func (k *walker) unlockBig() {
	if k.hasBig {
		k.hasBig = false
		k.big.Unlock()
	}
}

// spend accounts for n bytes that are made.
func (k *walker) spend(n int64) error {
	if k.left.Add(-n) < 0 {
		return ErrExcessive
	}
	return nil
}

// family lists a whole object and all that is made of it.
func (k *walker) family(pl *plan, root int32) {
	if err := k.root(pl, root); err != nil {
		k.fail(pl, root, err)
		return
	}
	k.below(pl)
}

// root makes a whole object.
func (k *walker) root(pl *plan, root int32) error {
	h, err := pl.p.header(pl.offsets[root], &k.in)
	if err != nil {
		return err
	}
	if k.structure && h.kind == Blob {
		return nil
	}
	end := pl.offsets[root+1]
	if !plausible(h.size, h.data, end) {
		return errEntry
	}
	if h.size > k.s.Limit {
		k.large(pl, root, h.kind, h)
		return nil
	}
	if err := k.spend(h.size); err != nil {
		return err
	}
	content, s, err := k.alloc(int(h.size))
	if err != nil {
		return err
	}
	if err := k.inflated(pl.p, h.data, end, content); err != nil {
		k.settle(s)
		return err
	}
	k.made(pl, root, h.kind, content, s)
	return nil
}

// guard does one thing, and lets go of what it held.
func (k *walker) guard(do func()) (err error) {
	defer k.unlockBig()
	defer func() {
		if err != nil {
			k.dropBases()
			if k.filling != nil {
				k.settle(k.filling)
			}
		}
	}()
	defer guarded(&err)
	do()
	return nil
}

// made gives an object that was made and, if others are made of it, keeps it as the next base.
func (k *walker) made(pl *plan, entry int32, kind Kind, content []byte, s *slab) {
	id := k.identify(pl, entry, kind, content)
	if pl.first[entry] != none {
		s.refs.Add(1)
		k.push(base{entry, pl.first[entry], kind, content, s})
	}
	if pl.skip == nil || !pl.skip[entry] {
		k.lend(Object{ID: id, Kind: kind}, content, s)
	}
	k.settle(s)
}

// identify finds the id of an object. Without an index, it is what other deltas may be waiting for.
func (k *walker) identify(pl *plan, entry int32, kind Kind, content []byte) ID {
	if pl.rows != nil {
		return pl.id(entry)
	}
	if pl.skip != nil && pl.skip[entry] {
		return ID{} // it was learnt as the pack came
	}
	id := hashed(looseHeader(kind, int64(len(content))), content, pl.p.idSize)
	k.learn(pl.p, id, pl.offsets[entry])
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range pl.pending[id] {
		pl.next[c], pl.first[entry] = pl.first[entry], c
	}
	delete(pl.pending, id)
	return id
}

// learn notes what lies at an offset of a pack without an index.
func (w *walk) learn(p *packFile, id ID, offset int64) {
	p.learnt.add(found{id, offset})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, found{id, offset})
}

// push makes an object the one that is built on.
func (k *walker) push(b base) {
	if n := len(k.bases); n > 0 {
		k.held += int64(len(k.bases[n-1].content))
		for i := 0; i < n && k.held > k.s.Held/int64(k.s.walkers()); i++ { // the one that is needed last is the one that is made again most cheaply
			if k.bases[i].entry != none {
				k.held -= int64(len(k.bases[i].content))
				k.bases[i].drop()
			}
		}
	}
	k.bases = append(k.bases, b)
}

// pop ends the work on the last base.
func (k *walker) pop() {
	n := len(k.bases) - 1
	k.bases[n].drop()
	k.bases = k.bases[:n]
	if n > 0 {
		k.held -= int64(len(k.bases[n-1].content))
	}
}

func (b *base) drop() {
	if b.slab != nil {
		b.slab.release()
	}
	b.content, b.slab = nil, nil
}

// below lists all that is made of the bases, depth first.
func (k *walker) below(pl *plan) {
	for len(k.bases) > 0 {
		if k.ctx.Err() != nil {
			k.dropBases()
			return
		}
		b := &k.bases[len(k.bases)-1]
		c := b.child
		if c == none {
			k.pop()
			continue
		}
		b.child = pl.next[c]
		if pl.unwanted(c) {
			continue
		}
		if err := k.child(pl, c); err != nil {
			k.fail(pl, c, err)
		}
	}
}

func (k *walker) dropBases() {
	for len(k.bases) > 0 {
		k.pop()
	}
}

// child makes one object of the last base.
func (k *walker) child(pl *plan, c int32) error {
	b := &k.bases[len(k.bases)-1]
	h, err := pl.p.header(pl.offsets[c], &k.in)
	if err != nil {
		return err
	}
	if h.size > k.s.Limit { // so is what it makes, unless it is a strange delta
		k.large(pl, c, b.kind, h)
		return nil
	}
	if b.content == nil {
		if err := k.restore(pl, b); err != nil {
			return err
		}
	}
	delta, size, target, err := k.instructions(pl.p, h, pl.offsets[c+1], k.s.Limit)
	switch {
	case err != nil:
		return err
	case size != int64(len(b.content)):
		return errDelta
	case target > k.s.Limit:
		k.large(pl, c, b.kind, h)
		return nil
	}
	content, s, err := k.follow(b.content, delta, target)
	if err != nil {
		return err
	}
	kind := b.kind
	if b.child == none {
		k.pop()
	}
	k.made(pl, c, kind, content, s)
	return nil
}

// follow makes the content of n bytes that a delta makes of its base.
func (k *walker) follow(base, delta []byte, n int64) ([]byte, *slab, error) {
	if err := k.spend(n); err != nil {
		return nil, nil, err
	}
	content, s, err := k.alloc(int(n))
	if err != nil {
		return nil, nil, err
	}
	if err := apply(content, base, delta); err != nil {
		k.settle(s)
		return nil, nil, err
	}
	return content, s, nil
}

// restore makes a base again that was dropped.
func (k *walker) restore(pl *plan, b *base) error {
	_, content, err := k.s.unpack(k.ctx, k.decoder, pl.p, pl.offsets[b.entry], 0, k.spend)
	b.content = content
	return err
}

// strangers lists what is made of an object outside the pack, if it can be had.
func (k *walker) strangers(pl *plan, id ID) bool {
	kind, content, err := k.s.foreign(k.ctx, k.decoder, id)
	k.mu.Lock()
	children := pl.pending[id]
	if err == nil {
		delete(pl.pending, id)
	}
	k.mu.Unlock()
	if err != nil {
		return false
	}
	for _, c := range children {
		if pl.unwanted(c) {
			continue
		}
		k.push(base{none, none, kind, content, nil})
		if err := k.child(pl, c); err != nil {
			k.fail(pl, c, err)
		}
		k.below(pl)
	}
	return true
}

// large gives an object above the limit without its content, and sees what becomes of those that are made of it.
func (k *walker) large(pl *plan, entry int32, kind Kind, h header) {
	todo := []int32{entry}
	for len(todo) > 0 && k.ctx.Err() == nil {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for c := pl.first[i]; c != none; c = pl.next[c] {
			todo = append(todo, c)
		}
		if i != entry {
			var err error
			if h, err = pl.p.header(pl.offsets[i], &k.in); err != nil {
				k.failOne(pl, i, err)
				continue
			}
		}
		size := h.size
		if h.kind == offsetDelta || h.kind == idDelta {
			var err error
			if size, err = k.targetSize(pl.p, h, pl.offsets[i+1]); err == nil && size <= k.s.Limit {
				err = errLargeBase
			}
			if err != nil {
				k.failOne(pl, i, err)
				continue
			}
		}
		o := Object{Kind: kind, Size: size}
		switch {
		case pl.rows != nil:
			o.ID = pl.id(i)
		default: // hashing it would take reading it
			o.Err = ErrTooLarge
		}
		if pl.skip == nil || !pl.skip[i] {
			k.add(o)
		}
	}
}

// targetSize reads no more of a delta than the sizes at its start.
func (d *decoder) targetSize(p *packFile, h header, end int64) (int64, error) {
	var sizes [20]byte
	err := d.inflated(p, h.data, end, sizes[:min(int64(len(sizes)), h.size)])
	if err != nil && !errors.Is(err, inflate.ErrLong) {
		return 0, err
	}
	_, target, _, err := deltaSizes(sizes[:])
	return target, err
}

// fail gives up on an entry, and with it on all that is made of it.
func (k *walker) fail(pl *plan, entry int32, err error) {
	todo := []int32{entry}
	for len(todo) > 0 && k.ctx.Err() == nil {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		k.failOne(pl, i, err)
		if !errors.Is(err, ErrExcessive) {
			err = errBase
		}
		for c := pl.first[i]; c != none; c = pl.next[c] {
			todo = append(todo, c)
		}
	}
}

// failOne reports an object that could not be made, unless another copy of it can be read.
func (k *walker) failOne(pl *plan, entry int32, err error) {
	if k.ctx.Err() != nil || pl.skip != nil && pl.skip[entry] {
		return
	}
	if pl.rows == nil {
		k.add(Object{Err: err})
		return
	}
	id := pl.id(entry)
	if !errors.Is(err, ErrExcessive) && k.s.elsewhere(pl.p, id) {
		if kind, content, readErr := k.s.read(k.ctx, k.decoder, id, 0); readErr == nil {
			if b, s, allocErr := k.alloc(len(content)); allocErr == nil {
				copy(b, content)
				k.lend(Object{ID: id, Kind: kind}, b, s)
				k.settle(s)
				return
			}
		}
	}
	k.add(Object{ID: id, Err: err})
}

// elsewhere tells whether an object is stored outside a pack too.
func (s *Store) elsewhere(p *packFile, id ID) bool {
	for _, other := range s.packs {
		if _, ok := other.find(id); ok && other != p {
			return true
		}
	}
	return slices.ContainsFunc(s.dirs, func(dir string) bool {
		_, err := os.Stat(looseFile(dir, id, s.IDSize))
		return err == nil
	})
}

// lend gives an object whose content lies in a slab.
func (k *walker) lend(o Object, content []byte, s *slab) {
	s.lent.Add(1)
	o.Size, o.Content, o.Done = int64(len(content)), content[:len(content):len(content)], s.done
	k.add(o)
}

// loose lists a loose object.
func (k *walker) loose(l looseObject) {
	var s *slab
	o, err := k.decoder.loose(looseFile(l.dir, l.id, k.s.IDSize), l.id, k.s.IDSize, k.s.Limit, func(n int) (b []byte, err error) {
		b, s, err = k.alloc(n)
		return b, err
	})
	switch {
	case k.ctx.Err() != nil:
	case err != nil:
		k.add(Object{ID: l.id, Err: err})
	case o.Content == nil:
		k.add(o)
	default:
		k.lend(o, o.Content, s)
	}
	if s != nil {
		k.settle(s)
	}
}
