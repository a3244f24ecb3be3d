// Package storefile reads the files in which OpenFGA models, tuples and tests of
// them are kept, and runs the tests.
//
//	ReadModel   a model: .fga, JSON, or fga.mod with its modules
//	ReadTuples  tuples: .yaml, .json, .jsonl or .csv, as the fga tool has them
//	Load        a store file, .fga.yaml, with tests: what fga model test takes
//
// Files come from people, so an error names the file and the place in it.
package storefile
