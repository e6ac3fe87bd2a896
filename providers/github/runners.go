package github

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// runner is what is read of one. go-github v60 lacks the last three.
type runner struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	OS     string `json:"os"`
	Status string `json:"status"`
	Labels []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"labels"`
	GroupID   int64  `json:"runner_group_id,omitempty"`
	Ephemeral *bool  `json:"ephemeral,omitempty"`
	Version   string `json:"version,omitempty"`
}

// runners yields those of the place. groups are an organisation's by id, as far as they are known; how many runners they have is counted.
func (h *place) runners(ctx context.Context, groups map[int64]*runnerGroup) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/actions/runners", "runners", otherPage, func(r *runner) string { return strconv.FormatInt(r.ID, 10) + r.Name })
	return each(all, func(r *runner) audit.Item {
		var labels []string
		for _, l := range r.Labels {
			labels = append(labels, l.Name)
		}
		facts := map[string]string{
			"id": strconv.FormatInt(r.ID, 10), "os": r.OS, "status": r.Status, "labels": list(labels), "version": r.Version, "ephemeral": flag(r.Ephemeral),
		}
		if g := groups[r.GroupID]; g != nil {
			facts["group"] = list([]string{g.Name})
			g.runners++
		}
		it := h.setting(audit.KindRunner, r.Name, h.scope(), "settings/actions/runners", time.Time{}, r, facts)
		it.At.Kind = audit.InRunner
		return it
	})
}

// runnerGroup is what is read of one.
type runnerGroup struct {
	ID            int64    `json:"id"`
	Name          string   `json:"name"`
	Visibility    string   `json:"visibility"`
	Default       *bool    `json:"default,omitempty"`
	Inherited     *bool    `json:"inherited,omitempty"`
	AllowsPublic  *bool    `json:"allows_public_repositories,omitempty"`
	Restricted    *bool    `json:"restricted_to_workflows,omitempty"`
	Workflows     []string `json:"selected_workflows,omitempty"`
	ReadOnly      *bool    `json:"workflow_restrictions_read_only,omitempty"`
	HostedNetwork string   `json:"network_configuration_id,omitempty"`

	Repositories []string `json:"repositories,omitempty"` // a listing of its own
	chosen       string   // all of those, as a fact; "" if they are not known
	runners      int
}

// runnersInGroups yields an organisation's runners and their groups.
func (h *place) runnersInGroups(ctx context.Context) iter.Seq2[audit.Item, error] {
	const needs = "organization_self_hosted_runners=read"
	return func(yield func(audit.Item, error) bool) {
		var all []*runnerGroup
		groups := map[int64]*runnerGroup{}
		path := h.path() + "/actions/runner-groups"
		for g, err := range listed(ctx, h, path, "runner_groups", otherPage, func(g *runnerGroup) string { return strconv.FormatInt(g.ID, 10) + g.Name }) {
			if err == nil && g.Visibility == "selected" {
				if g.Repositories, err = h.repositories(ctx, path+"/"+strconv.FormatInt(g.ID, 10)+"/repositories", "repositories"); err == nil {
					g.chosen = chosen(g.Repositories)
				}
			}
			if err != nil && !yield(audit.Item{}, h.gap("runner groups", needs, err)) {
				return
			}
			if g != nil {
				all, groups[g.ID] = append(all, g), g
			}
		}
		whole := true
		for it, err := range h.runners(ctx, groups) {
			whole = whole && err == nil
			if !yield(it, err) {
				return
			}
		}
		for _, g := range all {
			if !yield(h.runnerGroup(g, whole), nil) {
				return
			}
		}
	}
}

// runnerGroup is a group as an item; whole says that all of the organisation's runners are counted.
func (h *place) runnerGroup(g *runnerGroup, whole bool) audit.Item {
	facts := map[string]string{
		"id": strconv.FormatInt(g.ID, 10), "visibility": g.Visibility, "repositories": g.chosen, "public_repositories": flag(g.AllowsPublic),
		"restricted_to_workflows": flag(g.Restricted), "workflows": list(g.Workflows), "default": flag(g.Default), "inherited": flag(g.Inherited),
	}
	if whole && !deref(g.Inherited) { // an enterprise's runners are not the organisation's to list
		facts["runners"] = strconv.Itoa(g.runners)
	}
	return h.setting(audit.KindRunnerGroup, g.Name, h.scope(), "settings/actions/runner-groups/"+strconv.FormatInt(g.ID, 10), time.Time{}, g, facts)
}
