package pair

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// found makes a finding: an id, a candidate secret, a token, or a pair, at places.
func found(id, value string, locs ...audit.Location) audit.Finding {
	f := audit.Finding{Rule: "aws-access-key", Severity: audit.High, Secret: audit.NewSecret(audit.KindAWSKey, id, value), Locations: locs}
	if id == "" {
		f.Candidate, f.Severity = true, audit.Low
		if len(value) > 100 {
			f.Secret = audit.NewSecret(KindToken, "", value)
		}
	}
	return f
}

func speaking(f audit.Finding) audit.Finding { f.Severity = audit.High; return f }

func file(commit, path string, line int) audit.Location {
	return audit.Location{Target: "github:acme/web", Kind: audit.InCommit, Commit: commit, Path: path, Line: line, Object: commit + path}
}

func variable(target, name string) audit.Location {
	return audit.Location{Target: target, Kind: audit.InVariable, Name: name, Line: 1, URL: "https://forge/" + target}
}

// TestOneIDInManyPlaces holds that a place is not copied for each that follows, and that the caller's lists stay as they are.
func TestOneIDInManyPlaces(t *testing.T) {
	const n = 5000
	places := make([]audit.Location, n)
	in := make([]audit.Finding, n)
	id := newKeys(1).id()
	for i := range in {
		places[i] = file("c", "env", n-i)
		in[i] = found(id, "", places[i:i+1]...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out := Join(in)
	runtime.ReadMemStats(&after)
	if len(out) != 1 || len(out[0].Locations) != n {
		t.Fatalf("%d findings", len(out))
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > n*20_000 { // a copy of all for each is a hundred times that
		t.Errorf("%d bytes for %d places", took, n)
	}
	for i := range places {
		if places[i].Line != n-i {
			t.Fatalf("place %d was written over", i)
		}
	}
}

func TestJoin(t *testing.T) {
	k := newKeys(1)
	i1, i2, a1, s1, s2, s3, t1 := k.id(), k.id(), k.tempID(), k.secret(), k.secret(), k.secret(), k.token()
	names := map[string]string{i1: "I1", i2: "I2", a1: "A1", s1: "S1", s2: "S2", s3: "S3", t1: "T1"}
	for _, c := range []struct {
		name string
		in   []audit.Finding
		want string
	}{
		{"two commits of a file", []audit.Finding{found(i1, "", file("c1", "env", 1)), found("", s1, file("c2", "env", 2))}, "I1:S1@2"},
		{"two commits, other file's noise", []audit.Finding{found(i1, "", file("c1", "env", 1)), found("", s2, file("c1", "app.js", 9)), found("", s1, file("c2", "env", 2))}, "I1:S1@2?S2"},
		{"two files of a directory", []audit.Finding{found(i1, "", file("c1", "aws/access_key", 1)), found("", s1, file("c1", "aws/secret_key", 1))}, "I1:S1@2"},
		{"two files of a directory, two pairs", []audit.Finding{
			found(i1, "", file("c1", "aws/prod_access_key", 1)), found("", s1, file("c1", "aws/prod_secret_key", 1)),
			found(i2, "", file("c1", "aws/dev_access_key", 1)), found("", s2, file("c1", "aws/dev_secret_key", 1))}, "I1:S1@2 I2:S2@2"},
		{"terraform", []audit.Finding{found(i1, "", file("", "infra/terraform.tfvars", 1)), speaking(found("", s1, file("", "infra/backend.tf", 4)))}, "I1:S1@2"},
		{"unnamed in a directory, two of them", []audit.Finding{found(i1, "", file("c1", "a/x.txt", 1)), found("", s1, file("c1", "a/y.txt", 1)), found("", s2, file("c1", "a/z.txt", 1))}, "I1@1?S1?S2"},
		{"one commit, named", []audit.Finding{found(i1, "", file("c1", "a/id", 1)), speaking(found("", s1, file("c1", "b/other", 1)))}, "I1:S1@2"},
		{"one commit, unnamed", []audit.Finding{found(i1, "", file("c1", "a/id", 1)), found("", s1, file("c1", "b/other", 1))}, "I1@1?S1"},
		{"one target, unnamed", []audit.Finding{found(i1, "", file("c1", "a/id", 1)), found("", s1, file("c2", "b/other", 1))}, "I1@1"},
		{"one target, named", []audit.Finding{found(i1, "", file("c1", "a/id", 1)), speaking(found("", s1, file("c2", "b/other", 1)))}, "I1@1?S1"},
		{"variables", []audit.Finding{found(i1, "", variable("github:acme/web", "AWS_ACCESS_KEY_ID")), found("", s1, variable("github:acme/web", "AWS_SECRET_ACCESS_KEY"))}, "I1:S1@2"},
		{"variables of two scopes", []audit.Finding{found(i1, "", variable("github:acme", "AWS_ACCESS_KEY_ID")), found("", s1, variable("github:acme/web", "AWS_SECRET_ACCESS_KEY"))}, "I1:S1@2"},
		{"variables of strangers", []audit.Finding{found(i1, "", variable("github:acme", "AWS_ACCESS_KEY_ID")), found("", s1, variable("github:other/web", "AWS_SECRET_ACCESS_KEY"))}, "I1@1"},
		{"variables by prefix", []audit.Finding{
			found(i1, "", variable("github:acme/web", "PROD_AWS_KEY_ID")), found(i2, "", variable("github:acme/web", "DEV_AWS_KEY_ID")),
			found("", s2, variable("github:acme/web", "DEV_AWS_SECRET")), found("", s1, variable("github:acme/web", "PROD_AWS_SECRET"))}, "I1:S1@2 I2:S2@2"},
		{"temporary in variables", []audit.Finding{found(a1, "", variable("gitlab:g/p", "AWS_ACCESS_KEY_ID")), found("", s1, variable("gitlab:g/p", "AWS_SECRET_ACCESS_KEY")), found("", t1, variable("gitlab:g/p", "AWS_SESSION_TOKEN"))}, "A1:S1:T1@3"},
		{"archive", []audit.Finding{found(i1, "", file("", "backup.zip!a/id", 1)), found("", s1, file("", "backup.zip!b/key", 1))}, "I1:S1@2"},
		{"same id twice", []audit.Finding{found(i1, "", file("c1", "a", 1)), found(i1, "", file("c2", "b", 1))}, "I1@2"},
		{"same id with and without secret", []audit.Finding{found(i1, "", file("c1", "a", 1)), found(i1, s1, file("c2", "b", 1))}, "I1:S1@2"},
		{"the pair's secret again", []audit.Finding{found(i1, s1, file("c1", "a", 1)), found("", s1, file("c9", "z/z", 1))}, "I1:S1@2"},
		{"a pair is no help to another id", []audit.Finding{found(i1, s1, file("c1", "a", 1)), found(i2, "", file("c1", "a", 7))}, "I1:S1@1 I2@1"},
		{"nothing to join", []audit.Finding{found("", s3, file("c1", "a", 1))}, ""},
	} {
		want := c.want
		for seed := range uint64(4) {
			in := make([]audit.Finding, len(c.in))
			for i, f := range c.in { // Join completes secrets in place
				in[i] = f
				in[i].Secret = audit.NewSecret(f.Secret.Kind, f.Secret.ID, f.Secret.Reveal())
			}
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
			if got := tell(Join(in), names); got != want {
				t.Errorf("%s (order %d):\n got %q\nwant %q", c.name, seed, got, want)
			}
		}
	}
}

// tell writes findings as id:secret:token@number of locations?candidate.
func tell(fs []audit.Finding, names map[string]string) string {
	var out []string
	for _, f := range fs {
		s := names[f.Secret.ID]
		for _, v := range []string{f.Secret.Reveal(), f.Secret.RevealPart(audit.PartSessionToken)} {
			if v != "" {
				s += ":" + names[v]
			}
		}
		s += fmt.Sprintf("@%d", len(f.Locations))
		var cands []string
		for _, c := range f.Secret.Candidates() {
			cands = append(cands, "?"+names[c.Reveal()])
		}
		slices.Sort(cands)
		out = append(out, s+strings.Join(cands, ""))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Findings of other kinds pass through, in order, and a history of some size is joined without work per pair of findings.
func TestJoinMany(t *testing.T) {
	k := newKeys(3)
	var in []audit.Finding
	for n := range 4000 {
		commit, path := fmt.Sprint("c", n), fmt.Sprintf("d%d/f", n%50)
		in = append(in, audit.Finding{Rule: "other", Secret: audit.NewSecret("password", fmt.Sprint(n), "x")},
			found(k.id(), "", file(commit, path, 1)), found("", k.secret(), file(commit, path, 2)))
	}
	out := Join(in)
	paired, other := 0, 0
	for _, f := range out {
		if f.Rule == "other" {
			if f.Secret.ID != fmt.Sprint(other) {
				t.Fatalf("finding %d out of order", other)
			}
			other++
		} else if f.Secret.HasValue() {
			paired++
		}
	}
	if other != 4000 || paired != 4000 {
		t.Errorf("%d other findings and %d pairs, want 4000 of both", other, paired)
	}
}

// TestJoinOfTwoSecretsAtOnePlace takes the same one each time, in whatever order they come.
func TestJoinOfTwoSecretsAtOnePlace(t *testing.T) {
	k := newKeys(7)
	id, one, two := k.id(), k.secret(), k.secret()
	at, beside := file("c1", "conf", 3), file("c1", "conf", 9)
	first := ""
	for i := range 100 {
		halves := []audit.Finding{found("", one, beside), found("", two, beside)}
		out := Join([]audit.Finding{halves[i%2], found(id, "", at), halves[1-i%2]})
		if len(out) != 1 || !out[0].Secret.HasValue() {
			t.Fatalf("%d findings", len(out))
		}
		value := audit.Key{}.ValueDigest(out[0].Secret)
		if first == "" {
			first = value
		}
		if value != first {
			t.Fatal("another secret was taken")
		}
	}
}
