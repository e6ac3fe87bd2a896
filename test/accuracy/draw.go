package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"

	"github.com/leakreach/leakreach/audit"
)

// drawn is how many findings are drawn at random, and of each rule of which these have none, how many more.
const (
	drawn       = 100
	drawnOfRule = 3
)

// draw draws findings of JSON reports to be judged by hand, the same ones for the same seed and reports, and lists them: rule, target, place and message.
func (l *lab) draw(seed string, reports []string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the seed: %w", err)
	}
	var all []audit.Finding
	for _, name := range slices.Sorted(slices.Values(reports)) {
		text, err := os.ReadFile(name)
		var run audit.Run
		if err == nil {
			err = json.Unmarshal(text, &run)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		all = append(all, run.Findings...)
	}
	if len(all) < drawn {
		return errors.New("the reports have too few findings to draw from")
	}
	rand.New(rand.NewPCG(n, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	of := map[string]int{}
	for i, f := range all {
		if i == drawn {
			for rule := range of {
				of[rule] = drawnOfRule
			}
		}
		if i < drawn || of[f.Rule] < drawnOfRule {
			of[f.Rule]++
			at := f.Locations[0]
			fmt.Fprintf(l.out, "%s\t%s\t%s\t%s:%d\t%s\n", f.Rule, f.Severity, at.Target, at.Path, at.Line, f.Message)
		}
	}
	return nil
}
