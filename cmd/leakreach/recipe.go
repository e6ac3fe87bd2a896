package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/providers"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
	"github.com/leakreach/leakreach/verify"
)

// A recipe is all besides refs that decides what a run scans and finds. It is stored with the run: another process works on it by the same
// one, and only a run by the same one is resumed.
type recipe struct {
	Version    string       `json:"version"`
	Key        string       `json:"key"` // digest of it: under another one, findings have other ids
	Verify     string       `json:"verify"`
	Region     string       `json:"region,omitempty"`
	Since      string       `json:"since,omitempty"`
	Sources    string       `json:"sources,omitempty"`
	Rules      []string     `json:"rules,omitempty"`
	NoHistory  bool         `json:"no_history,omitempty"`
	NoIgnores  bool         `json:"no_ignores,omitempty"`
	AllRefs    bool         `json:"all_refs,omitempty"`
	Shared     bool         `json:"shared,omitempty"`
	NoArchived bool         `json:"no_archived,omitempty"`
	NoForks    bool         `json:"no_forks,omitempty"`
	Online     bool         `json:"online,omitempty"`
	Accounts   []string     `json:"accounts,omitempty"` // whose roles are asked which jobs they let in: profiles, and directories with exports
	Config     []byte       `json:"config,omitempty"`
	ConfigPath string       `json:"config_path,omitempty"`
	File       fileSettings `json:"file"`
}

// engine makes the engine that works by the recipe, and finds who reads the refs.
func (r *recipe) engine(env audit.Env, refs []string, most limits) (*engine.Engine, []engine.Ref, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, nil, err
	}
	rules, err := r.rules(env.Memory)
	if err != nil {
		return nil, nil, err
	}
	env.Rules = rules
	so := secrets.Options{Config: r.Config, ConfigPath: r.ConfigPath, Rules: r.Rules, Memory: env.Memory}
	scanning, err := scanners.All(so)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range scanning {
		if n, ok := s.(interface{ Notes() []string }); ok {
			for _, note := range n.Notes() {
				env.Log.Warn("configuration", "note", note)
			}
		}
	}
	list, err := r.refs(env, refs, so, most)
	if err != nil {
		return nil, nil, err
	}
	var verifiers []audit.Verifier
	if r.Verify != "off" {
		verifiers = verify.All(env, r.verification())
	}
	var resolvers []audit.Resolver
	if r.Online {
		components, err := providers.Components(env, r.providers(0, most), most.Online)
		if err != nil {
			return nil, nil, err
		}
		resolvers = append(resolvers, components)
	}
	if len(r.Accounts) > 0 {
		trust := &trustResolver{env: env, refs: refs, accounts: r.Accounts}
		if r.Online {
			trust.holder = providers.Holders(env, r.providers(0, most), most.Online)
		}
		resolvers = append(resolvers, trust)
	}
	return &engine.Engine{
		Version: versionString(), Recipe: string(text), Rules: rules, Scanners: scanning, Resolvers: resolvers, Verifiers: verifiers, Verify: r.Verify, Memory: env.Memory,
		NoIgnores: r.NoIgnores, SilencerFiles: secrets.SilencerFiles(), Calls: env.Calls, Log: env.Log, Now: env.Now,
	}, list, nil
}

// verification is how far verifying may go.
func (r *recipe) verification() verify.Options {
	own := r.File.Leakreach.Verify
	return verify.Options{
		Mode: r.Verify, Region: r.Region, Accounts: own.Accounts, Profiles: own.Profiles, CanaryAccounts: own.CanaryAccounts, CanaryKeys: own.CanaryKeys, Registries: own.Registries,
	}
}

// recipeOf is the recipe of a stored run.
func recipeOf(run store.Run) (*recipe, error) {
	r := &recipe{}
	if err := json.Unmarshal([]byte(run.Recipe), r); err != nil {
		return nil, fmt.Errorf("reading the recipe of run %s: %w", run.ID, err)
	}
	return r, nil
}

// rules is a digest of what decides what is found in a target. What a found key opens is asked anew in each run.
func (r *recipe) rules(memory audit.Memory) (string, error) {
	found := struct {
		recipe
		Memory audit.Memory // more does not leave out less
	}{*r, min(memory, defaultMemory)}
	found.Verify, found.Region, found.File = "", "", fileSettings{}
	found.NoArchived, found.NoForks = false, false // which targets there are
	found.Online, found.Accounts = false, nil      // asked anew in each run
	text, err := json.Marshal(found)
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:16]), err
}

// narrower says why a run may not have looked for all that an earlier one did; it is "" if it has. A newer version may find less,
// too, but then what is missing is what its rules no longer take for a secret.
func (r *recipe) narrower(then *recipe) string {
	for _, c := range []struct {
		less bool
		why  string
	}{
		{r.NoHistory && !then.NoHistory, "only this run was made with --no-history"},
		{r.Since != "" && r.Since != then.Since, "this run was made with --since " + r.Since},
		{r.Sources != then.Sources, "the runs were made with different --sources"},
		{len(r.Rules) > 0 && !slices.Equal(r.Rules, then.Rules), "this run was made with other --rules"},
		{!r.Online && then.Online, "only the earlier run was made with --online"},
		{len(r.Accounts) == 0 && len(then.Accounts) > 0, "only the earlier run read accounts"},
		{r.NoForks && !then.NoForks, "only this run was made with --no-forks"},
		{!r.AllRefs && then.AllRefs, "only the earlier run was made with --all-refs"},
		{!r.Shared && then.Shared, "only the earlier run was made with --shared"},
		{r.NoArchived && !then.NoArchived, "only this run was made with --no-archived"},
		{!bytes.Equal(r.Config, then.Config), "the runs were made with different configurations"},
	} {
		if c.less {
			return c.why
		}
	}
	return ""
}
