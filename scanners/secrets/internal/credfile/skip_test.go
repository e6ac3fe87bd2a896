package credfile

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// What a command needs is in whatever its expression matches.
func TestNeeds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, c := range scripts().commands {
		re, err := syntax.Parse(c.re().String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		matched := 0
		for range 2000 {
			line := sentence(r, re.Simplify(), nil)
			if !c.re().Match(line) { // a word's boundary is not met
				continue
			}
			matched++
			if !slices.ContainsFunc(c.needs, func(n []byte) bool { return bytes.Contains(line, n) }) {
				t.Fatalf("%q is passed over by %v", line, c.re())
			}
		}
		if matched < 100 {
			t.Errorf("%v matched %d times", c.re(), matched)
		}
	}
}

// sentence appends a random text that an expression may match: wherever it may end, it ends soon.
func sentence(r *rand.Rand, re *syntax.Regexp, text []byte) []byte {
	switch re.Op {
	case syntax.OpLiteral:
		text = append(text, string(re.Rune)...)
	case syntax.OpCharClass:
		for { // of ASCII
			if k := 2 * r.IntN(len(re.Rune)/2); re.Rune[k] < 0x7f {
				return append(text, byte(re.Rune[k]+r.Int32N(min(re.Rune[k+1], 0x7e)-re.Rune[k]+1)))
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		text = append(text, byte(' '+r.IntN(95)))
	case syntax.OpCapture:
		text = sentence(r, re.Sub[0], text)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n := r.IntN(2)
		if re.Op == syntax.OpPlus {
			n = 1 + r.IntN(3)
		}
		for range n {
			text = sentence(r, re.Sub[0], text)
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			text = sentence(r, sub, text)
		}
	case syntax.OpAlternate:
		text = sentence(r, re.Sub[r.IntN(len(re.Sub))], text)
	}
	return text
}

// No line of code is passed over that has a name which a row asks for.
func TestMayName(t *testing.T) {
	names := slices.Concat(secretParts, secretEnds, slices.Collect(maps.Keys(ownerKeys)))
	compiled()
	rows := 0
	for _, f := range formats {
		if f.doc != nil && reflect.ValueOf(f.doc).Pointer() == reflect.ValueOf(code).Pointer() {
			rows++
			for name := range f.names {
				names = append(names, name)
			}
		}
	}
	if rows < 4 {
		t.Errorf("only %d rows read code", rows)
	}
	for _, name := range names {
		if line := "self.X" + strings.Join(strings.Split(name, ""), "_") + " = 'x'"; !mayName([]byte(line)) {
			t.Errorf("%q is passed over", line)
		}
	}
	if mayName([]byte("self.colour = 'blue'")) {
		t.Error("every line may have a name")
	}
}
