// Package iam evaluates the policies of AWS Identity and Access Management: may this principal do that to this resource?
//
// [Parse] reads a policy document. [Layers] holds all the documents that have a say about one request, [Layers.Evaluate] gives the answer, with the
// statements that decided. An answer is one of three: allowed, denied, or unknown with what would have to be known; nothing is guessed.
//
// The language is that of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html, the order of the layers that of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
package iam

// A Tri is a truth that may not be known.
type Tri int8

// The truths.
const (
	No Tri = iota
	Maybe
	Yes
)

func (t Tri) String() string { return [...]string{"no", "maybe", "yes"}[t] }

func truth(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// not is the opposite of a truth.
func not(t Tri) Tri { return Yes - t }

// both and either are the lesser and the greater of two truths.
func both(a, b Tri) Tri   { return min(a, b) }
func either(a, b Tri) Tri { return max(a, b) }
