package main

import (
	"flag"
	"strings"

	"deputy/internal/config"
	"deputy/tools"
)

// choiceFlags are the flags by which whoever starts deputy asks for less than
// is configured.
func choiceFlags(f *flag.FlagSet, c *tools.Choice) {
	words := func(name, usage string, into *[]string) {
		f.Func(name, usage, func(text string) error {
			for word := range strings.SplitSeq(text, ",") {
				if word = strings.TrimSpace(word); word != "" {
					*into = append(*into, word)
				}
			}
			return nil
		})
	}
	words("toolsets", "only the tools of these `SETS`: gmail, slack, github; default: what is asked for often, of each", &c.Toolsets)
	words("tools", "only these tools, by `NAME`, beside those of --toolsets", &c.Tools)
	words("exclude-tools", "not these tools, by `NAME`", &c.Exclude)
	f.BoolVar(&c.ReadOnly, "read-only", false, "no tool that writes")
	f.BoolVar(&c.DraftsOnly, "drafts-only", false, "no tool that others notice: reading and drafting alone")
}

// chosen is what the configuration leaves.
func chosen(c config.Tools) tools.Choice {
	return tools.Choice{Toolsets: c.Toolsets, Tools: c.Include, Exclude: c.Exclude, ReadOnly: c.ReadOnly, DraftsOnly: c.DraftsOnly}
}
