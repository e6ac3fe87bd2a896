//go:build unix

package gitea

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// A world is an organisation of many repositories in a Gitea, and what was planted in it.
type world struct {
	*server
	org string

	mu      sync.Mutex
	planted map[string][]string           // token: the targets it lies in
	kinds   map[string]audit.LocationKind // of the places where some tokens lie, as reports mask them
}

// build makes an organisation of n repositories, two of five of them forks of others. Histories are written where Gitea keeps them and
// adopted by it, since a push takes it a second; some are pushed all the same.
func build(t *testing.T, s *server, org string, n int) *world {
	t.Helper()
	w := &world{server: s, org: org, planted: map[string][]string{}, kinds: map[string]audit.LocationKind{}}
	s.must(t, "POST", "orgs", map[string]any{"username": org})
	s.must(t, "POST", "orgs/"+org+"/actions/variables/TOKEN", map[string]any{"value": w.plant(w.target(), 1)})
	s.must(t, "PUT", "orgs/"+org+"/actions/secrets/DEPLOY_KEY", map[string]any{"data": "never read"})
	if err := os.MkdirAll(filepath.Join(s.root, org), 0o755); err != nil {
		t.Fatal(err)
	}
	each(t, n, func(i int) error {
		if isFork(i) {
			return nil
		}
		return w.make(i)
	})
	each(t, n, func(i int) error {
		if !isFork(i) {
			return nil
		}
		_, err := s.call("POST", "repos/"+org+"/"+name(i-3)+"/forks", map[string]any{"name": name(i), "organization": org})
		return err
	})
	return w
}

func name(i int) string { return fmt.Sprintf("r%04d", i) }

// isFork tells whether repository i is a fork, of i-3.
func isFork(i int) bool { return i%5 >= 3 }

func (w *world) target(repository ...string) string {
	return strings.Join(append([]string{"gitea:" + w.org}, repository...), "/")
}

// plant returns a token, and notes that it lies in a target.
func (w *world) plant(target string, seed int) string {
	planted := token(seed)
	w.note(target, planted)
	return planted
}

// note notes that a secret lies in a target.
func (w *world) note(target, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.planted[secret]; !slices.Contains(at, target) {
		w.planted[secret] = append(at, target)
	}
}

// masked is how reports show a secret.
func masked(secret string) string { return secret[:4] + "…" + secret[len(secret)-4:] }

// token is one of those that nobody has issued.
func token(seed int) string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	b := []byte("gh" + "p_")
	for range 36 {
		b = append(b, letters[random.IntN(len(letters))])
	}
	return string(b)
}

// uproot forgets that a token lies in a target.
func (w *world) uproot(target string, seed int) {
	token := w.plant(target, seed)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planted[token] = slices.DeleteFunc(w.planted[token], func(at string) bool { return at == target })
	if len(w.planted[token]) == 0 {
		delete(w.planted, token)
	}
}

// Seeds of tokens of repository i, each for one place.
func inHistory(i int) int { return 100 + 10*i }
func inBranch(i int) int  { return 101 + 10*i }
func inTag(i int) int     { return 102 + 10*i }
func inNote(i int) int    { return 103 + 10*i }
func inVar(i int) int     { return 104 + 10*i }
func inPush(i int) int    { return 105 + 10*i }

const inMany = 2 // a token that many repositories have

// make makes repository i, which is no fork.
func (w *world) make(i int) error {
	dir := filepath.Join(w.root, w.org, name(i)+".git")
	here := w.target(name(i))
	// What clone copies is in the fork too: branches and tags, not notes.
	plant := func(seed int, forked bool) string {
		if forked && isFork(i+3) {
			w.plant(w.target(name(i+3)), seed)
		}
		return "TOKEN=" + w.plant(here, seed) + "\n"
	}
	h := newHistory(i)
	h.commit("main", map[string]string{"README": words(i, 0), "src/a.txt": words(i, 1)})
	if i%15 == 0 {
		h.commit("main", map[string]string{"src/b.txt": words(i, 2)})
		return w.adopt(dir, i, h)
	}
	if i%5 != 1 {
		h.commit("main", map[string]string{"deploy/old.env": plant(inHistory(i), true)})
	}
	for k := range 4 {
		h.commit("main", map[string]string{fmt.Sprintf("src/f%d.txt", k): words(i, 10+k), "src/a.txt": words(i, 20+k)})
	}
	if i%5 == 0 {
		h.commit("main", map[string]string{"deploy/old.env": ""})
	}
	if i%20 == 10 {
		h.commit("main", map[string]string{"shared.env": plant(inMany, true)})
	}
	if i%5 != 0 {
		h.commit("dev", map[string]string{"src/b.txt": words(i, 3), "deploy/dev.env": plant(inBranch(i), true)})
	}
	if i%25 == 5 {
		h.tag("v1.0.0", "release\n\n"+plant(inTag(i), true))
	}
	if i%25 == 6 {
		h.note("main", plant(inNote(i), false))
	}
	if err := w.adopt(dir, i, h); err != nil {
		return err
	}
	if i%10 == 7 {
		value := map[string]any{"value": w.plant(here, inVar(i))}
		if _, err := w.call("POST", "repos/"+w.org+"/"+name(i)+"/actions/variables/TOKEN", value); err != nil {
			return err
		}
	}
	if i%10 == 2 {
		return w.push(i, func(h *history) {
			h.commit("pushed", map[string]string{"deploy/pushed.env": plant(inPush(i), false)})
		}, "refs/heads/pushed")
	}
	return nil
}

// adopt writes a repository where Gitea keeps them, and has it find it.
func (w *world) adopt(dir string, i int, h *history) error {
	if err := git("", "", "init", "-q", "--bare", "-b", "main", dir); err != nil {
		return err
	}
	if err := git(dir, h.String(), "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"); err != nil {
		return err
	}
	_, err := w.call("POST", "admin/unadopted/"+w.org+"/"+name(i), nil)
	return err
}

// push adds to repository i what change writes, as somebody would who works on it. Refs are those to push, as git's push takes them.
func (w *world) push(i int, change func(*history), refs ...string) error {
	dir, err := os.MkdirTemp("", "leakreach-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	address := strings.Replace(w.url, "://", "://root:"+w.token+"@", 1) + "/" + w.org + "/" + name(i) + ".git"
	if err := git("", "", "clone", "-q", "--mirror", address, dir); err != nil {
		return err
	}
	h := newHistory(i)
	h.existing = true
	change(h)
	if err := git(dir, h.String(), "fast-import", "--quiet", "--force"); err != nil {
		return err
	}
	return git(dir, "", append([]string{"-c", "remote.origin.mirror=false", "push", "-q", address}, refs...)...)
}

func git(dir, stdin string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// A history is what git fast-import reads.
type history struct {
	strings.Builder
	when     int
	existing bool           // main is there already
	last     map[string]int // branch: mark of its last commit
	marks    int
}

func newHistory(i int) *history { return &history{when: 1_767_268_800 + i, last: map[string]int{}} }

// head names the last commit of a branch.
func (h *history) head(branch string) string {
	if mark := h.last[branch]; mark > 0 {
		return fmt.Sprint(":", mark)
	}
	return "refs/heads/" + branch + "^0"
}

func (h *history) data(s string) { fmt.Fprintf(h, "data %d\n%s\n", len(s), s) }

func (h *history) who(role string) { fmt.Fprintf(h, "%s A <a@example.com> %d +0000\n", role, h.when) }

// commit adds a commit to a branch; the first one of any other than main goes off from there. A content "" removes the file.
func (h *history) commit(branch string, files map[string]string) {
	h.when += 3600
	h.marks++
	fmt.Fprintf(h, "commit refs/heads/%s\nmark :%d\n", branch, h.marks)
	h.who("committer")
	h.data("change " + branch)
	if h.last[branch] == 0 && (branch != "main" || h.existing) {
		fmt.Fprintf(h, "from %s\n", h.head("main"))
	}
	h.last[branch] = h.marks
	for path, content := range files {
		if content == "" {
			fmt.Fprintf(h, "D %s\n", path)
			continue
		}
		fmt.Fprintf(h, "M 100644 inline %s\n", path)
		h.data(content)
	}
}

// reset moves a branch.
func (h *history) reset(branch, to string) {
	fmt.Fprintf(h, "reset refs/heads/%s\nfrom %s\n\n", branch, to)
}

// tag makes an annotated one of main.
func (h *history) tag(name, message string) {
	fmt.Fprintf(h, "tag %s\nfrom %s\n", name, h.head("main"))
	h.who("tagger")
	h.data(message)
}

// note writes one on a branch's last commit.
func (h *history) note(branch, text string) {
	fmt.Fprint(h, "commit refs/notes/commits\n")
	h.who("committer")
	h.data("note")
	fmt.Fprintf(h, "N inline %s\n", h.head(branch))
	h.data(text)
}

// words are twelve kilobytes of text, as long files are that people write, another for each pair of numbers.
func words(i, k int) string {
	const syllables = "ba be bi bo bu da de di do du la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu"
	list := strings.Fields(syllables)
	random := rand.New(rand.NewPCG(uint64(i), uint64(k)+1000))
	var b strings.Builder
	for b.Len() < 12_000 {
		for range 1 + random.IntN(4) {
			b.WriteString(list[random.IntN(len(list))])
		}
		b.WriteByte(" \n"[min(1, random.IntN(12)/11)])
	}
	return b.String()
}

// each does n things, four at once: Gitea and git wait for the disk as long as they compute.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	todo := make(chan int)
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for i := range todo {
				if err := do(i); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	done.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
