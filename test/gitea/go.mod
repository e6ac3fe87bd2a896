// Tests against a real Gitea. A module of its own, so that the product does not carry what only these tests need.
module github.com/leakreach/leakreach/test/gitea

go 1.26.0

replace github.com/leakreach/leakreach => ../..

require github.com/google/go-cmp v0.7.0
