package forge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
)

// A Page is one page of a listing.
type Page[T any] struct {
	Items []T
	Next  string // cursor of the next page, a number where pages are numbered; "" after the last one
	Last  int    // number of the last page, as far as the forge tells
	Total int    // number of all items, as far as the forge tells
}

// A PageError says at which page, from 1, a listing broke.
type PageError struct {
	Page int
	Err  error
}

func (e *PageError) Error() string { return fmt.Sprintf("reading page %d: %v", e.Page, e.Err) }
func (e *PageError) Unwrap() error { return e.Err }

// Limits of one listing: more than any forge holds in one.
const (
	maxPages = 10_000
	maxItems = 1_000_000
)

// Pages walks a listing from cursor "" to its end. Items that come twice, as they do when a listing changes while it is
// walked, are yielded once; key identifies them. Errors are yielded with an item to ignore: a page that could not be read, after which
// the walk goes on if the next page's number is known; a listing that is shorter than its own total, repeats itself or does not end.
func Pages[T any](ctx context.Context, key func(T) string, fetch func(ctx context.Context, cursor string) (Page[T], error)) iter.Seq2[T, error] {
	return PagesFrom(ctx, "", key, fetch)
}

// PagesFrom is Pages from a cursor on, which an earlier walk had.
func PagesFrom[T any](ctx context.Context, cursor string, key func(T) string, fetch func(ctx context.Context, cursor string) (Page[T], error)) iter.Seq2[T, error] {
	first := cursor
	return func(yield func(T, error) bool) {
		var none T
		seen := map[string]bool{}
		cursor := first
		var last, total int
		whole := first == ""
		for n := 1; ; n++ {
			page, err := fetch(ctx, cursor)
			if err != nil {
				if n > 1 {
					err = &PageError{n, err}
				}
				number, notNumbered := strconv.Atoi(cursor)
				if !yield(none, err) || ctx.Err() != nil || notNumbered != nil || number >= last || !skippable(err) {
					return
				}
				whole = false
				cursor = strconv.Itoa(number + 1)
				continue
			}
			last, total = min(max(last, page.Last), maxPages), max(total, page.Total)
			fresh := 0
			for _, item := range page.Items {
				if k := key(item); !seen[k] {
					seen[k] = true
					fresh++
					if !yield(item, nil) {
						return
					}
				}
			}
			if page.Next == "" {
				break
			}
			if fresh == 0 || page.Next == cursor {
				yield(none, fmt.Errorf("the listing repeats itself at page %d", n))
				return
			}
			if n >= maxPages || len(seen) >= maxItems {
				yield(none, fmt.Errorf("the listing does not end: stopped after %d", len(seen)))
				return
			}
			cursor = page.Next
		}
		if whole && len(seen) < total {
			yield(none, fmt.Errorf("%d of %d are missing in the forge's answers", total-len(seen), total))
		}
	}
}

// skippable tells whether the next page may well be readable: the forge stumbled over this one.
func skippable(err error) bool {
	e := (*Error)(nil)
	return errors.As(err, &e) && e.Status >= 500
}
