package iam

import (
	"slices"
	"strings"
	"testing"
)

func TestParseResourcesErrorsInOrder(t *testing.T) {
	doc := []byte(`{"arn:aws:s3:::d": 1, "arn:aws:s3:::a": 1, "arn:aws:s3:::c": 1, "arn:aws:s3:::b": 1, "arn:aws:s3:::f": 1, "arn:aws:s3:::e": 1}`)
	err := ParseResources(doc, nil)
	if err == nil {
		t.Fatal("no error for documents that are no policies")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 6 || !slices.IsSorted(lines) {
		t.Errorf("errors are not in the order of their ARNs:\n%v", err)
	}
}
