package joblog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// read returns a log's lines as "number kind section|text".
func read(t *testing.T, log string) (lines []string) {
	t.Helper()
	for l, err := range Lines(iotest.HalfReader(strings.NewReader(log))) {
		if err != nil {
			t.Fatal(err)
		}
		more := ""
		if l.More {
			more = "+"
		}
		lines = append(lines, fmt.Sprintf("%d%s %s %s|%s", l.Number, more, l.Kind, l.Section, l.Text))
	}
	return lines
}

func TestLines(t *testing.T) {
	const at = "2024-05-22T12:43:46.9626461Z "
	for _, test := range []struct {
		name, log string
		want      []string
	}{
		{"nothing", "", nil},
		{"GitHub", "\ufeff" + at + "##[group]Run make\n" + at + "\x1b[36;1mmake all\x1b[0m\n" + at + "##[endgroup]\r\n" + at + "##[command]/usr/bin/git version\n" + at,
			[]string{"1 group |Run make", "2  |make all", "3 endgroup |", "4 command |/usr/bin/git version", "5  |"}},
		{"Gitea", at + "::group::Run make\n" + at + "::endgroup::\n" + at + "::notice::x\n", []string{"1 group |Run make", "2 endgroup |", "3 notice |x"}},
		{"no mark", "##[nothing]a\n##[group\n::add-mask::x\n## [group]\n", []string{"1  |##[nothing]a", "2  |##[group", "3  |::add-mask::x", "4  |## [group]"}},
		{"GitLab", "Running\x1b[0;m\nsection_start:1560896352:get_sources[collapsed=true]\r\x1b[0K\x1b[36;1mGetting\x1b[0;m\nsource\n" +
			"section_end:1560896353:get_sources\r\x1b[0Ksection_start:1560896353:step_script\r\x1b[0K$ make\nsection_end:1:step_script\r\x1b[0Kdone\n",
			[]string{"1  |Running", "2  get_sources|Getting", "3  get_sources|source", "4  step_script|$ make", "5  |done"}},
		{"GitLab with times", "2024-05-22T12:43:46.962646Z 00O one\n2024-05-22T12:43:46.962646Z 01E+ and more\n2024-05-22T12:43:47.962646Z 00O two",
			[]string{"1  |one", "2+  | and more", "3  |two"}},
		{"no section", "section_start:x:y\r\x1b[0Ka\nsection_start:1:y z\r\x1b[0Kb\nsection_end:1:y\r\x1b[0Kc\n",
			[]string{"1  |section_start:x:y a", "2  |section_start:1:y z b", "3  |c"}},
		{"sections that do not end", strings.Repeat("section_start:1:s\r\x1b[0K", 100) + "x\n", []string{"1  s|x"}},
		{"no time", "2024-05-22 12:43:46 a\n2024-05-22T12:43:46Z b\n2024-05-22T12:43:46.1+02:00 c\n2024-13-22T12:43:46.1Z d\n2024-05-22T12:43:46.1Zzzzzzzzzzzzzzzzzzzzz e",
			[]string{"1  |2024-05-22 12:43:46 a", "2  |2024-05-22T12:43:46Z b", "3  |2024-05-22T12:43:46.1+02:00 c", "4  |2024-13-22T12:43:46.1Z d",
				"5  |2024-05-22T12:43:46.1Zzzzzzzzzzzzzzzzzzzzz e"}},
		{"colours", "a\x1b[01;31m\x1b[Kb\x1b[m\x1b[Kc \x1b(Bd \x1b7e\x1b8\x1b", []string{"1  |abc d e"}},
		{"what a terminal hides", "\x1b]8;;https://a.example/\x1b\\link\x1b]8;;\a\x1b]0;title\ax\n\x1b[38;5\x01y\n\x1b[" + strings.Repeat("1", 100) + "m\n",
			[]string{"1  | 8;;https://a.example/ link 8;;  0;title x", "2  |[38;5\x01y", "3  |[" + strings.Repeat("1", 100) + "m"}},
		{"progress", "10 %\r20 %\r\n30 %\r\r\n", []string{"1  |10 % 20 %", "2  |30 %"}},
		{"an environment", "A=1\x00B=2\x00\n", []string{"1  |A=1 B=2 "}},
		{"UTF-16", "A\x00B\x00\r\x00\n\x00C\x00D\x00\n", []string{"1  |AB ", "2  |CD"}},
	} {
		if got := read(t, test.log); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%q, want\n%q", test.name, got, test.want)
		}
	}
}

func TestLongLines(t *testing.T) {
	for _, n := range []int{maxPiece - maxEscape - 1, maxPiece - 5, maxPiece - 1, maxPiece, maxPiece + 1, 3*maxPiece - 2} {
		a, b := strings.Repeat("a", n), strings.Repeat("b", maxPiece)
		var got []byte
		pieces := 0
		for l, err := range Lines(strings.NewReader(a + "\x1b[31;1m" + b + "\r\nend")) {
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Text) > maxPiece+maxEscape {
				t.Errorf("%d: a piece of %d bytes", n, len(l.Text))
			}
			if pieces++; l.Number == 1 && l.More != (pieces > 1) {
				t.Errorf("%d: piece %d goes on: %t", n, pieces, l.More)
			}
			if l.Number == 1 {
				got = append(got, l.Text...)
			} else if string(l.Text) != "end" || l.Number != 2 {
				t.Errorf("%d: line %d is %q", n, l.Number, l.Text)
			}
		}
		if string(got) != a+b {
			t.Errorf("%d: %d bytes, want %d; first difference at %d", n, len(got), len(a+b), differ(got, a+b))
		}
	}
}

func differ(got []byte, want string) int {
	for i := range got {
		if i >= len(want) || got[i] != want[i] {
			return i
		}
	}
	return len(got)
}

func TestABrokenLog(t *testing.T) {
	broken := errors.New("broken")
	texts := 0
	for text, err := range Texts(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 0) {
		if err != nil {
			if texts != 1 || !errors.Is(err, broken) {
				t.Error(texts, err)
			}
			return
		}
		if texts++; string(text.Content) != "a\nb" {
			t.Errorf("%q", text.Content)
		}
	}
	t.Error("no error")
}

// A long log comes in windows, each of which knows its lines.
func TestWindows(t *testing.T) {
	var log strings.Builder
	const lines = 40_000
	for n := range lines {
		fmt.Fprintf(&log, "2024-05-22T12:%02d:%02d.0000001Z 00O line %d\n", n/60%60, n%60, 2*n+1)
		fmt.Fprintf(&log, "2024-05-22T12:%02d:%02d.0000001Z 00O+ and more\n", n/60%60, n%60)
	}
	windows, seen := 0, 0
	for text, err := range Texts(strings.NewReader(log.String()), 0) {
		if err != nil {
			t.Fatal(err)
		}
		windows++
		if len(text.Content) > minWindow+2*overlap {
			t.Errorf("a window of %d bytes", len(text.Content))
		}
		for i, line := range bytes.Split(text.Content, []byte("\n")) {
			number := 0
			if _, err := fmt.Sscanf(string(line), "line %d", &number); err != nil && len(line) > 0 {
				t.Fatalf("window %d, line %d: %q", windows, i+1, line)
			}
			p := text.Place(i + 1)
			if len(line) > 0 && (p.Line != number || p.At.Second() != number/2%60) {
				t.Fatalf("window %d, line %d: %q lies at %+v", windows, i+1, line, p)
			}
			seen = max(seen, number)
		}
	}
	if windows < 3 || seen != 2*lines-1 {
		t.Errorf("%d windows, up to line %d", windows, seen)
	}
	for text, err := range Texts(strings.NewReader(strings.Repeat("x", 3*minWindow)), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if p := text.Place(1); p.Line != 1 {
			t.Errorf("one line is at %+v", p)
		}
	}
}

func TestSteps(t *testing.T) {
	at := func(second int, rest string) string {
		return fmt.Sprintf("2024-05-22T12:00:%02d.5000000Z %s\n", second, rest)
	}
	log := at(1, "Current runner version: '2.336.0'") + at(2, "Complete job name: build") + // 1, 2
		at(2, "##[group]Run actions/checkout@v4") + at(2, "inner") + at(2, "##[group]Run inner of it") + at(3, "fetched") + // 3 to 6
		at(3, "##[group]Run make") + at(3, "made") + // 7, 8
		at(3, "##[group]Run echo") + at(5, "echo") + // 9, 10
		at(9, "Post job cleanup.") + at(9, "cleaned") + at(9, "Cleaning up orphan processes") // 11 to 13
	start := func(second int) time.Time { return time.Date(2024, 5, 22, 12, 0, second, 0, time.UTC) }
	job := Job{Name: "build", Attempt: 2, Steps: []Step{
		{1, "Set up job", start(0)}, {2, "Check out", start(2)}, {3, "Build", start(3)}, {4, "Skipped", time.Time{}}, {5, "Run echo", start(3)},
		{10, "Post Check out", start(9)}, {11, "Complete job", start(9)}, {12, "Never", start(30)},
	}}
	var text *Text
	for only, err := range Texts(strings.NewReader(log), 0) {
		if err != nil {
			t.Fatal(err)
		}
		text = only
	}
	for n, want := range []string{
		"1:1", "1:2", "2:1", "2:2", "2:3", "2:4", "3:1", "3:2", "5:1", "5:2", "10:1", "10:2", "11:1",
	} {
		p := job.Place(text, n+1)
		if got := fmt.Sprintf("%d:%d", p.Step.Number, p.Line); got != want {
			t.Errorf("line %d is %s, want %s", n+1, got, want)
		}
	}
	for _, test := range []struct {
		job  Job
		line int
		want string
	}{
		{job, 8, "build / Build (attempt 2)"},
		{Job{Name: "build"}, 8, "build"},
		{Job{Name: "test", Attempt: 1}, 8, "test (attempt 1)"},
	} {
		if got := test.job.Where(test.job.Place(text, test.line)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if p := (Job{}).Place(text, 8); p.Line != 8 || p.At != start(3) {
		t.Errorf("without steps: %+v", p)
	}
}

func TestEntry(t *testing.T) {
	for name, want := range map[string]string{
		"0_build.txt":                "build 0  true",
		"12_test (1, 2).txt":         "test (1, 2) 0  true",
		"build/1_Set up job.txt":     "build 1 Set up job true",
		"a/b/2_x.txt":                "a 0 b/2_x true",
		"build/system.txt":           "build 0 system true",
		"build.txt":                  "build 0  true",
		"build/":                     " 0  false",
		"x.exe":                      " 0  false",
		"99999999999999999999_x.txt": "99999999999999999999_x 0  true",
	} {
		job, step, ok := Entry(name)
		if got := fmt.Sprintf("%s %d %s %t", job, step.Number, step.Name, ok); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Whatever a log holds, reading it in pieces of any size gives the same, and nothing of it is lost but marks.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{
		"", "a\nb", "\ufeff2024-05-22T12:43:46.9626461Z ##[group]Run\n", "section_start:1:a[collapsed=true]\r\x1b[0Kx\nsection_end:1:a\r\x1b[0K",
		"2024-05-22T12:43:46.962646Z 00O+x\r\n\x1b[31mred\x1b[0m\x1b]8;;y\a\x00\x1b", "a\x00b\x00",
	} {
		f.Add([]byte(seed), uint16(7))
	}
	f.Fuzz(func(t *testing.T, log []byte, n uint16) {
		once := collect(t, bytes.NewReader(log))
		if again := collect(t, iotest.OneByteReader(bytes.NewReader(log))); !slices.Equal(once, again) {
			t.Fatalf("%q and %q", once, again)
		}
		letters := func(b string) (n int) {
			for _, c := range b {
				if c == '#' || c == '@' {
					n++
				}
			}
			return n
		}
		if marks := 3 * (bytes.Count(log, []byte("##[")) + bytes.Count(log, []byte("\x1b["))); letters(strings.Join(once, "")) < letters(string(log))-marks-3*bytes.Count(log, []byte{0x1b}) {
			t.Fatalf("%q became %q", log, once)
		}
		long := bytes.Repeat(log, 1+2*minWindow/(len(log)+1)*int(n%2))
		job := Job{Steps: []Step{{1, "a", time.Unix(1, 0)}, {2, "Run", time.Unix(1716381826, 0)}, {3, "b", time.Unix(1716381826, 0)}}}
		for text, err := range Texts(bytes.NewReader(long), 0) {
			if err != nil {
				t.Fatal(err)
			}
			for line := range min(100, bytes.Count(text.Content, []byte("\n"))) {
				if p := job.Place(text, line+1); p.Line < 1 {
					t.Fatalf("line %d is at %+v", line, p)
				}
			}
		}
	})
}

func collect(t *testing.T, r io.Reader) (lines []string) {
	for l, err := range Lines(r) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d %t %s %s %s", l.Number, l.More, l.Kind, l.Section, l.Text))
	}
	return lines
}

func BenchmarkTexts(b *testing.B) {
	var log bytes.Buffer
	for n := range 20_000 {
		fmt.Fprintf(&log, "2024-05-22T12:%02d:%02d.0000001Z \x1b[36;1mgo: downloading example.com/module v1.2.%d\x1b[0m\n", n/60%60, n%60, n)
		fmt.Fprintf(&log, "2024-05-22T12:%02d:%02d.0000001Z ok  	example.com/module/package%d	0.123s\n", n/60%60, n%60, n)
	}
	b.SetBytes(int64(log.Len()))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Texts(bytes.NewReader(log.Bytes()), 64<<20) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
