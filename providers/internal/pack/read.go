package pack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"github.com/leakreach/leakreach/inflate"
)

// maxChain is the longest chain of deltas that git writes.
const maxChain = 4095

// A decoder is what one goroutine needs to inflate.
type decoder struct {
	inflate.Decoder
	in         window // of the pack that is read
	src, delta []byte // buffers
}

// maxRatio is how far deflate can compress: 258 bytes to 2 bits.
const maxRatio = 1032

// inflated decompresses what lies at an offset of a pack and ends before another into dst, of exactly the right size.
// No more is read than honest compressors write: the next entry that an index knows may be far, and of a large delta only the start is wanted,
// which may be in a block of 64 KiB that is not compressed.
func (d *decoder) inflated(p *packFile, from, end int64, dst []byte) error {
	end = min(end, from+longest(int64(len(dst)))+64<<10)
	src, err := p.view(from, end+inflate.Slack, &d.in) // what lies behind is not used, but makes the end as fast as the rest
	if err != nil {
		return err
	}
	_, err = d.Zlib(dst, src)
	return err
}

// plausible tells whether size bytes can have been compressed into what lies between two offsets. It is asked before memory is taken for
// them.
func plausible(size, from, end int64) bool { return size/maxRatio <= end-from }

// instructions returns the delta behind a header, and the size of what it makes. It is valid until the next call.
func (d *decoder) instructions(p *packFile, h header, end, limit int64) (delta []byte, base, target int64, err error) {
	if h.size > limit || !plausible(h.size, h.data, end) {
		return nil, 0, 0, errEntry
	}
	b := grow(&d.delta, int(h.size)+inflate.Slack)[:h.size]
	if err := d.inflated(p, h.data, end, b); err != nil {
		return nil, 0, 0, err
	}
	base, target, delta, err = deltaSizes(b)
	return delta, base, target, err
}

// Read reads one object. An error that wraps os.ErrNotExist says that it is not stored. The content is the caller's, but must not be
// changed.
func (s *Store) Read(ctx context.Context, id ID) (kind Kind, content []byte, err error) {
	leave, err := s.enter()
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	for _, p := range s.packs {
		if err := p.settle(ctx); err != nil {
			return 0, nil, err
		}
		if err := s.needIndex(ctx, p); err != nil {
			return 0, nil, err
		}
	}
	d := s.decoder()
	defer s.decoders.Put(d)
	return s.read(ctx, d, id, 0)
}

// HasAll tells whether all objects are in packs, given by ids in hexadecimal.
func (s *Store) HasAll(ids []string) bool {
	for _, text := range ids {
		if id, ok := ParseID(text, s.IDSize); !ok || !s.packed(id, len(s.packs)) {
			return false
		}
	}
	return true
}

// Size tells how large an object in a pack is, without making it.
func (s *Store) Size(id ID) (size int64, err error) {
	leave, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guarded(&err)
	d := s.decoder()
	defer s.decoders.Put(d)
	for _, p := range s.packs {
		at, ok := p.find(id)
		if !ok {
			continue
		}
		h, err := p.header(at, &d.in)
		if err != nil || h.kind != offsetDelta && h.kind != idDelta {
			return h.size, err
		}
		return d.targetSize(p, h, s.endOf(p, h))
	}
	return 0, os.ErrNotExist
}

func (s *Store) decoder() *decoder {
	if d, ok := s.decoders.Get().(*decoder); ok {
		return d
	}
	return &decoder{}
}

// read reads an object from wherever it is sound. depth counts the packs that a chain of deltas leads through.
func (s *Store) read(ctx context.Context, d *decoder, id ID, depth int) (kind Kind, content []byte, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guarded(&err)
	err = fmt.Errorf("object is missing: %w", os.ErrNotExist)
	for _, p := range s.packs {
		if at, ok := p.find(id); ok {
			kind, content, err = s.unpack(ctx, d, p, at, depth, nil)
			if err == nil || ctx.Err() != nil {
				return kind, content, err
			}
		}
	}
	for _, dir := range s.dirs {
		var o Object
		o, looseErr := d.loose(looseFile(dir, id, s.IDSize), id, s.IDSize, s.Limit, func(n int) ([]byte, error) { return make([]byte, n), nil })
		switch {
		case looseErr == nil && o.Content == nil:
			return o.Kind, nil, ErrTooLarge
		case looseErr == nil:
			return o.Kind, o.Content, nil
		case !errors.Is(looseErr, os.ErrNotExist):
			err = looseErr
		}
	}
	return 0, nil, err
}

// unpack makes the object at an offset of a pack: it goes down the chain of deltas to a content that is whole or in the cache, and
// applies them on the way back.
// spend is asked before bytes are made; it may be nil.
func (s *Store) unpack(
	ctx context.Context, d *decoder, p *packFile, at int64, depth int, spend func(int64) error,
) (kind Kind, content []byte, err error) {
	type link struct {
		header
		at int64
	}
	var chain []link
	for content == nil {
		if kind, content = s.cache.get(place{p, at}); content != nil {
			break
		}
		h, err := p.header(at, &d.in)
		if err != nil {
			return 0, nil, err
		}
		if len(chain) > maxChain {
			return 0, nil, errBase
		}
		switch h.kind {
		case offsetDelta:
			chain, at = append(chain, link{h, at}), h.base
			continue
		case idDelta:
			chain = append(chain, link{h, at})
			if base, ok := p.find(h.ref); ok {
				at = base
				continue
			}
			if depth > 0 {
				return 0, nil, errBase // bases of bases in other packs: no git makes them
			}
			if kind, content, err = s.foreign(ctx, d, h.ref); err != nil {
				return 0, nil, err
			}
		default:
			switch {
			case h.size <= s.Limit:
			case len(chain) > 0:
				return 0, nil, errLargeBase
			default:
				return 0, nil, ErrTooLarge
			}
			end := s.endOf(p, h)
			if !plausible(h.size, h.data, end) {
				return 0, nil, errEntry
			}
			kind, content = h.kind, make([]byte, h.size, h.size+inflate.Slack)
			if err := d.inflated(p, h.data, end, content); err != nil {
				return 0, nil, err
			}
			s.cache.put(place{p, at}, kind, content)
		}
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		h := chain[i].header
		delta, base, target, err := d.instructions(p, h, s.endOf(p, h), s.Limit)
		switch {
		case err != nil:
			return 0, nil, err
		case base != int64(len(content)):
			return 0, nil, errDelta
		case target <= s.Limit:
		case i > 0:
			return 0, nil, errLargeBase
		default:
			return 0, nil, ErrTooLarge
		}
		if spend != nil {
			if err := spend(target); err != nil {
				return 0, nil, err
			}
		}
		next := make([]byte, target)
		if err := apply(next, content, delta); err != nil {
			return 0, nil, err
		}
		content = next
		s.cache.put(place{p, chain[i].at}, kind, content)
	}
	return kind, content, nil
}

// foreign finds a base that is not in the pack.
func (s *Store) foreign(ctx context.Context, d *decoder, id ID) (kind Kind, content []byte, err error) {
	// The decoder's delta buffer is not in use between two steps of a chain.
	if kind, content, err = s.read(ctx, d, id, 1); err != nil && ctx.Err() == nil {
		err = errBase
	}
	return kind, content, err
}

// endOf bounds where the compressed data behind a header ends, for want of a list of all entries.
func (s *Store) endOf(p *packFile, h header) int64 { return min(h.data+longest(h.size), p.end()) }

// longest bounds what size bytes are compressed to: honest compressors add less than an eighth to what they cannot compress.
func longest(size int64) int64 { return size + size/8 + 1024 }

// A place is where an object lies in a pack.
type place struct {
	p  *packFile
	at int64
}

// A cache keeps some of the contents read last: objects that are read one after the other often build on the same ones.
type cache struct {
	mu    sync.Mutex
	has   map[place]cached
	order []place // oldest first
	bytes int64
}

type cached struct {
	kind    Kind
	content []byte
}

// maxCache bounds the cache in bytes, maxCached each content in it.
const (
	maxCache  = 16 << 20
	maxCached = 2 << 20
)

func (c *cache) get(at place) (Kind, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.has[at]
	return have.kind, have.content
}

func (c *cache) put(at place, kind Kind, content []byte) {
	if len(content) > maxCached {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.has[at]; ok {
		return
	}
	c.has[at] = cached{kind, content}
	c.order = append(c.order, at)
	c.bytes += int64(len(content))
	for c.bytes > maxCache {
		c.bytes -= int64(len(c.has[c.order[0]].content))
		delete(c.has, c.order[0])
		c.order = c.order[1:]
	}
}
