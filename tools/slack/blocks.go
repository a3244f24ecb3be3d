package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"deputy/tools"
)

// block is one block of Block Kit, of the kinds that are nothing but text. What
// acts (buttons, menus), loads (images) or folds away is not sent.
type block struct {
	Type     string     `json:"type"`
	Text     *boxText   `json:"text,omitempty"`
	Fields   []*boxText `json:"fields,omitempty"`
	Elements []*boxText `json:"elements,omitempty"`
}

// boxText is a block's text. Verbatim keeps Slack from making links of names.
type boxText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// The bounds of Block Kit (https://docs.slack.dev/reference/block-kit/blocks).
const (
	maxBlocks, maxHeader, maxSection, maxField, maxFields, maxElements = 50, 150, 3000, 2000, 10, 10
)

// readBlocks reads blocks as an agent writes them.
func readBlocks(text string, mrkdwn bool) ([]block, error) {
	if text == "" {
		return nil, nil
	}
	bad := func(why string) error { return tools.BadInput("blocks", why) }
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	var all []block
	if err := dec.Decode(&all); err != nil {
		return nil, bad("must be a JSON array of header, section (text, fields), context and divider blocks, with texts of type plain_text or mrkdwn and nothing else in them")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("there is something after the array")
	}
	for _, b := range all {
		for _, t := range b.texts() {
			if t != nil && t.Type == "mrkdwn" {
				t.Text, t.Verbatim = compose(t.Text, mrkdwn), true
			}
		}
	}
	if len(all) == 0 {
		return nil, bad("is empty; leave it out")
	}
	return all, checkBlocks(all)
}

// texts are a block's texts, from top to bottom.
func (b block) texts() []*boxText {
	all := slices.Concat(b.Fields, b.Elements)
	if b.Text != nil {
		all = append([]*boxText{b.Text}, all...)
	}
	return all
}

func checkBlocks(all []block) error {
	if len(all) > maxBlocks {
		return tools.BadInput("blocks", fmt.Sprintf("has more than %d blocks", maxBlocks))
	}
	for i, b := range all {
		if why := b.wrong(); why != "" {
			return tools.BadInput("blocks", fmt.Sprintf("block %d: %s", i+1, why))
		}
	}
	return nil
}

func (b block) wrong() string {
	switch {
	case b.Type == "divider" && len(b.texts()) == 0:
		return ""
	case b.Type == "header" && b.Text != nil && len(b.Fields)+len(b.Elements) == 0:
		if b.Text.Type != "plain_text" {
			return "the text of a header is plain_text"
		}
		return b.Text.wrong(maxHeader)
	case b.Type == "section" && (b.Text != nil || len(b.Fields) > 0) && len(b.Elements) == 0 && len(b.Fields) <= maxFields:
		return wrongTexts(b, maxSection, maxField)
	case b.Type == "context" && b.Text == nil && len(b.Fields) == 0 && len(b.Elements) > 0 && len(b.Elements) <= maxElements:
		return wrongTexts(b, maxSection, maxSection)
	}
	return "must be a header, a section with a text or up to 10 fields, a context with up to 10 texts as elements, or a divider"
}

func wrongTexts(b block, text, others int) string {
	for _, t := range b.texts() {
		most := others
		if t == b.Text {
			most = text
		}
		if why := t.wrong(most); why != "" {
			return why
		}
	}
	return ""
}

func (t *boxText) wrong(most int) string {
	switch {
	case t == nil || t.Type != "plain_text" && t.Type != "mrkdwn":
		return "a text is of type plain_text or mrkdwn"
	case strings.TrimSpace(t.Text) == "":
		return "a text is empty"
	case utf8.RuneCountInString(t.Text) > most:
		return fmt.Sprintf("a text is longer than %d characters (& counts as 5, < and > as 4)", most)
	case t.Verbatim != (t.Type == "mrkdwn"):
		return "verbatim is deputy's to set"
	case t.Type == "mrkdwn" && compose(t.Text, true) != t.Text:
		return "the markup is not in the one form deputy sends"
	}
	if r, bad := unprintable(t.Text); bad {
		return fmt.Sprintf("contains the control character U+%04X; only newlines and tabs may be in it", r)
	}
	return ""
}

// shown is what a reader sees of it.
func (t *boxText) shown() string {
	if t.Type == "plain_text" {
		return t.Text
	}
	return readable(t.Text, nil)
}

// blocksShown is all that blocks say, one line or more for each text.
func blocksShown(all []block) string {
	var lines []string
	for _, b := range all {
		if b.Type == "divider" {
			lines = append(lines, "────")
		}
		for _, t := range b.texts() {
			lines = append(lines, t.shown())
		}
	}
	return strings.Join(lines, "\n")
}

// encode is the one form in which a write's body is sent.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings, numbers and bools always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
