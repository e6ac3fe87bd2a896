package pipeline

import (
	"fmt"
	"testing"
)

// TestRunnerChoices shows what runners a matrix and conditions can choose, and what of it is not known.
func TestRunnerChoices(t *testing.T) {
	for _, c := range []struct{ runsOn, matrix, want string }{
		{"[self-hosted, linux]", "", "[[self-hosted linux]] false"},
		{"${{ matrix.os }}", "{os: [ubuntu-latest, self-hosted]}", "[[ubuntu-latest] [self-hosted]] false"},
		{"${{ MATRIX.OS }}", "{Os: [a]}", "[[a]] false"},
		{"${{ matrix.os }}", "{os: [[self-hosted, linux], ubuntu-latest]}", "[[self-hosted linux] [ubuntu-latest]] false"},
		{"${{ matrix.on.runner }}", "{on: [{runner: big, n: 1}, {runner: [self-hosted, x]}]}", "[[big] [self-hosted x]] false"},
		{"${{ matrix.os }}", "{include: [{os: a}, {os: b, x: 1}, {x: 2}]}", "[[a] [b]] false"},
		{"${{ matrix.os }}-${{ matrix.v }}", "{os: [a], v: [1]}", "[] true"},
		{"ubuntu-${{ matrix.v }}", "{v: [22.04, 24.04]}", "[[ubuntu-22.04] [ubuntu-24.04]] false"},
		{"${{ matrix.os }}", "${{ fromJSON(inputs.matrix) }}", "[] true"},
		{"${{ matrix.os }}", "{os: \"${{ fromJSON(inputs.os) }}\"}", "[] true"},
		{"${{ matrix.os }}", "{os: [a, \"${{ inputs.os }}\"]}", "[[a]] true"},
		{"${{ github.event_name == 'push' && 'self-hosted' || 'ubuntu-latest' }}", "", "[[self-hosted] [ubuntu-latest]] false"},
		{"${{ inputs.os || 'ubuntu-latest' }}", "", "[[ubuntu-latest]] true"},
		{"${{ fromJSON('[\"self-hosted\", \"gpu\"]') }}", "", "[[self-hosted gpu]] false"},
		{"${{ fromJSON(matrix.os) }}", "{os: ['[\"self-hosted\"]', '\"a\"', '{}']}", "[[self-hosted] [a]] true"},
		{"[self-hosted, \"${{ matrix.os }}\"]", "{os: [a, b]}", "[[self-hosted a] [self-hosted b]] false"},
		{"[self-hosted, \"${{ inputs.os }}\"]", "", "[[self-hosted]] true"},
		{"{group: big, labels: [\"${{ matrix.os }}\"]}", "{os: [a]}", "[[a group:big]] false"},
		{"{group: big}", "", "[[group:big]] false"},
		{"{group: \"${{ inputs.g }}\", labels: x}", "", "[] true"},
	} {
		text := "on: push\njobs:\n  a:\n    runs-on: " + c.runsOn + "\n"
		if c.matrix != "" {
			text += "    strategy:\n      matrix: " + c.matrix + "\n"
		}
		d := Parse(GitHub, "a.yml", []byte(text+"    steps: [{run: x}]\n"))
		if len(d.Jobs) != 1 {
			t.Errorf("%s: %+v", c.runsOn, d.Gaps)
			continue
		}
		r := d.Jobs[0].Runner
		if got := fmt.Sprint(r.Sets(), r.Computed); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.runsOn, c.matrix, got, c.want)
		}
	}
}
