package gitlab

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"sync"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// runner is what listings and descriptions tell of a runner; the latter also have its token where the caller owns it.
type runner struct {
	ID          int      `json:"id"`
	Description string   `json:"description"`
	Name        string   `json:"name,omitempty"`
	Note        string   `json:"maintenance_note,omitempty"`
	Type        string   `json:"runner_type"`
	Paused      bool     `json:"paused"`
	Status      string   `json:"status"`
	Platform    string   `json:"platform,omitempty"`
	Version     string   `json:"version,omitempty"`
	Tags        []string `json:"tag_list,omitempty"`
	Locked      *bool    `json:"locked,omitempty"`
	Untagged    *bool    `json:"run_untagged,omitempty"`
	AccessLevel string   `json:"access_level,omitempty"`
}

// runners lists a target's own runners, and where the target is not one of many also those shared with it. What a runner takes, its own
// description alone says.
func (h *place) runners(ctx context.Context) iter.Seq2[audit.Item, error] {
	path, query := h.path+"/runners", map[string]string{}
	switch {
	case h.scope == "instance":
		path, query["type"] = "runners/all", "instance_type"
	case h.target.Attrs["alone"] == "":
		query["type"] = h.scope + "_type"
	}
	return func(yield func(audit.Item, error) bool) {
		undescribed := 0
		var why error
		for x, err := range pages(ctx, h.client, path, query, func(x *runner) string { return strconv.Itoa(x.ID) }) {
			if err != nil {
				if !yield(audit.Item{}, err) {
					return
				}
				continue
			}
			if more, err := h.known.describe(ctx, h.client, x.ID); err == nil {
				x = more
			} else {
				undescribed, why = undescribed+1, err
			}
			if !yield(h.runner(x), nil) {
				return
			}
		}
		if undescribed > 0 {
			yield(audit.Item{}, h.gap("descriptions of "+strconv.Itoa(undescribed)+" runners", maintainer, why))
		}
	}
}

func (h *place) runner(x *runner) audit.Item {
	it := h.item(audit.KindRunner, audit.InRunner, cmp.Or(x.Description, "runner "+strconv.Itoa(x.ID)), h.page, map[string]string{
		"id": strconv.Itoa(x.ID), "type": x.Type, "status": x.Status, "paused": strconv.FormatBool(x.Paused), "os": x.Platform, "version": x.Version,
		"labels": audit.NameList(x.Tags), "locked": yesNo(x.Locked), "run_untagged": yesNo(x.Untagged), "access_level": x.AccessLevel,
	})
	it.Content, _ = json.Marshal(x)
	it.Size = int64(len(it.Content))
	return it
}

// descriptions are those of runners that were asked for: a runner that serves a thousand projects is described once.
type descriptions struct {
	mu sync.Mutex
	of map[int]*runner
}

func (d *descriptions) describe(ctx context.Context, c *client, id int) (*runner, error) {
	d.mu.Lock()
	x := d.of[id]
	d.mu.Unlock()
	if x != nil {
		forge.Doubt(ctx) // its tag is in the listing of another target
		return x, nil
	}
	x = &runner{}
	if _, err := c.get(ctx, "runners/"+strconv.Itoa(id), nil, "", x); err != nil {
		return nil, err
	}
	if x.ID != id {
		return nil, &forge.Error{API: "gitlab", Method: http.MethodGet, Message: "another runner was described"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[int]*runner{}
	}
	d.of[id] = x
	return x, nil
}
