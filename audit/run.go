package audit

import (
	"maps"
	"sync"
	"time"
)

// Schema names the JSON form of [Run].
const Schema = "leakreach.run/v1"

// A Run is the whole report: what was asked, what was covered, what was found and what could not be looked at.
type Run struct {
	Schema     string         `json:"schema"`
	Info       RunInfo        `json:"run"`
	Coverage   []Coverage     `json:"coverage"`
	Gaps       []Gap          `json:"gaps"`
	Findings   []Finding      `json:"findings"`
	Identities []Identity     `json:"identities"`
	Inventory  []Entry        `json:"inventory"`
	Silencers  []Silencer     `json:"silencers"`
	Calls      map[string]int `json:"calls"`

	// What the earlier run has that this one was compared with, and this one has not; nil without a comparison.
	Gone   []Finding `json:"gone,omitzero"`
	Unseen []Unseen  `json:"unseen,omitzero"`
}

// Unseen is a finding of an earlier run that could not be looked for again: whether it is still there is not known.
type Unseen struct {
	Finding
	Why string `json:"why"`
}

// RunInfo says what was asked and whether it was done.
type RunInfo struct {
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Refs       []string  `json:"refs"`
	Verify     string    `json:"verify"`          // off, offline, owner, live
	Complete   bool      `json:"complete"`        // every target was scanned whole
	Key        string    `json:"key,omitempty"`   // a digest of the key that ids are made with: under another one, the same finding has another id
	Since      string    `json:"since,omitempty"` // the id of the earlier run that it was compared with
}

// Coverage says how far one target was looked at.
type Coverage struct {
	Target string     `json:"target"`
	Kind   TargetKind `json:"kind"`
	Status Status     `json:"status"`
	Items  int        `json:"items"`
	Bytes  int64      `json:"bytes"`
	Reason string     `json:"reason"`
	URL    string     `json:"url,omitempty"`
	// LeftOut are the sources that the target may have and that were not asked for, as in --sources.
	LeftOut string `json:"left_out,omitempty"`
}

// Status of a target.
type Status string

// The states of a target.
const (
	Scanned Status = "scanned"
	Partial Status = "partial" // scanned, with gaps
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// A Silencer is something in what was scanned that would silence a scanner: ignore comments, an ignore file, a configuration.
type Silencer struct {
	Target string `json:"target"`
	What   string `json:"what"`   // "gitleaks:allow", ".gitleaksignore", ".gitleaks.toml", ".gitignore"
	Count  int    `json:"count"`  // comments, entries, or files and directories left out
	Obeyed bool   `json:"obeyed"` // only in a working tree of the user's own
}

// Calls counts requests per API, such as "github" or "sts". The zero value is ready; it is safe for concurrent use.
type Calls struct {
	mu sync.Mutex
	n  map[string]int
}

// Add counts n more requests to api.
func (c *Calls) Add(api string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[api] += n
}

// Snapshot returns the counts so far.
func (c *Calls) Snapshot() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		return map[string]int{}
	}
	return maps.Clone(c.n)
}
