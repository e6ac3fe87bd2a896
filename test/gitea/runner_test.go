//go:build unix

package gitea

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A runner runs jobs of Gitea Actions on this machine: the run steps of a job in a shell, one after the other, with its secrets and variables. It
// hides secrets in what the steps print as Gitea's own runner does, and uploads files where a step uses actions/upload-artifact.
type runner struct {
	client runnerv1connect.RunnerServiceClient
	url    string
	host   string // a folder of the machine it runs on, $HOST to the steps
}

const (
	runnerName  = "runs on this machine"
	runnerLabel = "host"
)

// newRunner registers one for all repositories of an organisation.
func newRunner(t *testing.T, s *server, org, host string) *runner {
	t.Helper()
	r := &runner{url: s.url, host: host}
	token := s.must(t, "POST", "orgs/"+org+"/actions/runners/registration-token", nil)["token"].(string)
	connectTo := func(headers map[string]string) runnerv1connect.RunnerServiceClient {
		return runnerv1connect.NewRunnerServiceClient(http.DefaultClient, s.url+"/api/actions", connect.WithInterceptors(connect.UnaryInterceptorFunc(
			func(next connect.UnaryFunc) connect.UnaryFunc {
				return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
					for k, v := range headers {
						req.Header().Set(k, v)
					}
					return next(ctx, req)
				}
			})))
	}
	registered, err := connectTo(nil).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{
		Name: runnerName, Token: token, Version: "v0.1.0", Labels: []string{runnerLabel},
	}))
	if err != nil {
		t.Fatal(err)
	}
	r.client = connectTo(map[string]string{"x-runner-uuid": registered.Msg.Runner.Uuid, "x-runner-token": registered.Msg.Runner.Token})
	if _, err := r.client.Declare(t.Context(), connect.NewRequest(&runnerv1.DeclareRequest{Version: "v0.1.0", Labels: []string{runnerLabel}})); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs n jobs.
func (r *runner) run(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute) // Gitea makes jobs of a push once it gets to it
	for done := 0; done < n; {
		if time.Now().After(deadline) {
			t.Fatalf("there were %d jobs, not %d", done, n)
		}
		answer, err := r.client.FetchTask(t.Context(), connect.NewRequest(&runnerv1.FetchTaskRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Msg.Task == nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err := r.task(t.Context(), answer.Msg.Task, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		done++
	}
}

// A workflow has the one job that a task is for.
type workflow struct {
	Env  map[string]string
	Jobs map[string]struct {
		Env   map[string]string
		Steps []step
	}
}

type step struct {
	Name, Uses, Run string
	Env, With       map[string]string
}

// task runs one job and reports it step by step.
func (r *runner) task(ctx context.Context, task *runnerv1.Task, dir string) error {
	var definition workflow
	if err := yaml.Unmarshal(task.WorkflowPayload, &definition); err != nil {
		return err
	}
	if len(definition.Jobs) != 1 {
		return fmt.Errorf("a task of %d jobs", len(definition.Jobs))
	}
	l := &jobLog{runner: r, task: task, hide: hider(task.Secrets)}
	state := &runnerv1.TaskState{Id: task.Id, StartedAt: timestamppb.Now()}
	for _, job := range definition.Jobs {
		for i, s := range job.Steps {
			now := &runnerv1.StepState{Id: int64(i), StartedAt: timestamppb.Now(), LogIndex: l.sent, Result: runnerv1.Result_RESULT_SUCCESS}
			if state.Result != runnerv1.Result_RESULT_FAILURE {
				if err := r.step(ctx, l, s, dir, definition.Env, job.Env); err != nil {
					l.line("##[error]" + err.Error())
					now.Result, state.Result = runnerv1.Result_RESULT_FAILURE, runnerv1.Result_RESULT_FAILURE
				}
			} else {
				now.Result = runnerv1.Result_RESULT_SKIPPED
			}
			if err := l.send(ctx, false); err != nil {
				return err
			}
			now.LogLength, now.StoppedAt = l.sent-now.LogIndex, timestamppb.Now()
			state.Steps = append(state.Steps, now)
		}
	}
	l.line("the job is over")
	if err := l.send(ctx, true); err != nil {
		return err
	}
	state.StoppedAt = timestamppb.Now()
	state.Result = cmp.Or(state.Result, runnerv1.Result_RESULT_SUCCESS)
	_, err := r.client.UpdateTask(ctx, connect.NewRequest(&runnerv1.UpdateTaskRequest{State: state}))
	return err
}

// step runs one.
func (r *runner) step(ctx context.Context, l *jobLog, s step, dir string, environments ...map[string]string) error {
	if s.Uses != "" {
		if !strings.HasPrefix(s.Uses, "actions/upload-artifact@") {
			return fmt.Errorf("this runner has no %s", s.Uses)
		}
		l.line("##[group]Run " + s.Uses)
		l.line("##[endgroup]")
		return r.upload(ctx, l.task, s.With["name"], filepath.Join(dir, s.With["path"]))
	}
	script := l.expand(s.Run)
	l.line("##[group]Run " + strings.SplitN(script, "\n", 2)[0])
	for line := range strings.Lines(script) {
		l.line("\x1b[36;1m" + strings.TrimSuffix(line, "\n") + "\x1b[0m")
	}
	l.line("##[endgroup]")
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOST="+r.host, "CI=true")
	for _, environment := range append(environments, s.Env) {
		for _, k := range slices.Sorted(maps.Keys(environment)) {
			cmd.Env = append(cmd.Env, k+"="+l.expand(environment[k]))
		}
	}
	out, err := cmd.CombinedOutput()
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		l.line(lines.Text())
	}
	return err
}

// A jobLog is what a job prints, until it is sent.
type jobLog struct {
	*runner
	task *runnerv1.Task
	hide *strings.Replacer
	rows []*runnerv1.LogRow
	sent int64
}

// hider replaces each secret by three asterisks.
func hider(secrets map[string]string) *strings.Replacer {
	var pairs []string
	for _, value := range secrets {
		if value != "" {
			pairs = append(pairs, value, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

func (l *jobLog) line(text string) {
	l.rows = append(l.rows, &runnerv1.LogRow{Time: timestamppb.Now(), Content: l.hide.Replace(text)})
}

func (l *jobLog) send(ctx context.Context, last bool) error {
	answer, err := l.client.UpdateLog(ctx, connect.NewRequest(&runnerv1.UpdateLogRequest{TaskId: l.task.Id, Index: l.sent, Rows: l.rows, NoMore: last}))
	if err != nil {
		return err
	}
	if l.sent += int64(len(l.rows)); answer.Msg.AckIndex != l.sent {
		return fmt.Errorf("Gitea has %d lines of %d", answer.Msg.AckIndex, l.sent)
	}
	l.rows = nil
	return nil
}

var expression = regexp.MustCompile(`\$\{\{ *(secrets|vars)\.([A-Za-z0-9_]+) *\}\}`)

// expand puts in the values of secrets and variables.
func (l *jobLog) expand(text string) string {
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		m := expression.FindStringSubmatch(found)
		if m[1] == "secrets" {
			return l.task.Secrets[m[2]]
		}
		return l.task.Vars[m[2]]
	})
}

// upload makes an artifact of one file, as the toolkit of actions/upload-artifact@v4 does: it is created, sent, and finished.
func (r *runner) upload(ctx context.Context, task *runnerv1.Task, name, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create(filepath.Base(path))
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	field := func(name string) string { return task.Context.Fields[name].GetStringValue() }
	call := func(method, address string, body []byte) (map[string]any, error) {
		req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+field("gitea_runtime_token"))
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		said, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		if resp.StatusCode > 299 {
			return nil, fmt.Errorf("%s %s: %d %.300s", method, req.URL.Path, resp.StatusCode, said)
		}
		var out map[string]any
		_ = json.Unmarshal(said, &out) // that of an upload is a word
		return out, nil
	}
	const service = "/twirp/github.actions.results.api.v1.ArtifactService/"
	ask := func(what string, more map[string]any) (map[string]any, error) {
		body := map[string]any{"workflow_run_backend_id": field("run_id"), "workflow_job_run_backend_id": field("run_id"), "name": name}
		maps.Copy(body, more)
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		return call(http.MethodPost, r.url+service+what, b)
	}
	made, err := ask("CreateArtifact", map[string]any{"version": 4})
	if err != nil {
		return err
	}
	to, _ := made["signedUploadUrl"].(string)
	if to == "" {
		to, _ = made["signed_upload_url"].(string)
	}
	if _, err := call(http.MethodPut, to+"&comp=appendBlock", packed.Bytes()); err != nil {
		return err
	}
	_, err = ask("FinalizeArtifact", map[string]any{"size": fmt.Sprint(packed.Len())})
	return err
}
