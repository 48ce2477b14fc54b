package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/libtrust"
)

// payloads are every way of writing JSON that decides where the payload is cut and how the array is indented.
var payloads = []struct{ name, content string }{
	{"compact", `{"name":"library/hello","tag":"latest","schemaVersion":1}`},
	{"compact-space", `{ "name" : "library/hello" , "tag" : "latest" }`},
	{"compact-newline-end", "{\"name\":\"library/hello\"}\n"},
	{"compact-newline-inside", "{\"name\":\"library/hello\"\n}"},
	{"indent-3", "{\n   \"name\": \"library/hello\",\n   \"tag\": \"latest\",\n   \"fsLayers\": []\n}"},
	{"indent-2", "{\n  \"name\": \"library/hello\",\n  \"history\": [\n    {\n      \"v\": 1\n    }\n  ]\n}"},
	{"indent-0", "{\n\"name\": \"library/hello\"\n}"},
	{"indent-1", "{\n \"name\": \"library/hello\"\n}"},
	{"indent-11", "{\n           \"name\": \"library/hello\"\n}"},
	{"indent-blank-line", "{\n\n  \"name\": \"library/hello\"\n}"},
	{"indent-mixed", "{\n \t \"name\": \"library/hello\",\n\"tag\": \"latest\"\n}"},
	{"indent-cr", "{\n\r  \"name\": \"library/hello\"\n}"},
	{"tab", "{\n\t\"name\": \"library/hello\",\n\t\"tag\": \"latest\"\n}"},
	{"crlf", "{\r\n  \"name\": \"library/hello\",\r\n  \"tag\": \"latest\"\r\n}\r\n"},
	{"crlf-later", "{\n  \"name\": \"library/hello\",\r\n  \"tag\": \"latest\"\r\n}"},
	{"space-before-newline", "{ \n  \"name\": \"library/hello\"\n}"},
	{"space-before-object", " {\n  \"name\": \"library/hello\"\n}"},
	{"newline-before-object", "\n{\n  \"name\": \"library/hello\"\n}"},
	{"trailing-space", "{\n   \"name\": \"library/hello\"\n} \t\r\n \n"},
	{"trailing-space-inside", "{\n   \"name\": \"library/hello\"   \t\r\n\n   }"},
	{"closing-on-line", "{\n   \"name\": \"library/hello\"}"},
	{"unicode", "{\n   \"name\": \"h\u00e9llo \u4e16\u754c \U0001f433 \u2028 \u00a0 \u0085\"\n}"},
	{"unicode-end", "{\n   \"n\u00e4me\u00a0\": \"\u00a0\"\n}"},
	{"escapes", `{"name":"\"\\\/\b\f\n\r\t\u00e9\ud83d\udc33\u0000","<html>":"&<>"}`},
	{"braces-in-strings", "{\n   \"}\": \"{\\n}\",\n   \"tail\": \"}\\n}\"\n}"},
	{"ends-in-array", `{"a":[{}]}`},
	{"ends-in-object", "{\n  \"a\": {}\n}"},
	{"ends-in-number", `{"a":-1.5e-7}`},
	{"ends-in-literal", `{"a":true,"b":null}`},
	{"inner-signatures", `{"inner":{"signatures":[1]},"Signatures":2,"signature":3}`},
	{"empty-name", `{"":""}`},
}

const usual, plain = "indent-3", "compact"

// expectation is what the library made of one document.
type expectation struct {
	File         string   `json:"file"`
	Payload      []byte   `json:"payload"`
	Digest       string   `json:"digest"`
	Kids         []string `json:"kids"`
	FormatLength int      `json:"formatLength"`
	Blobs        [][]byte `json:"blobs"`
}

// merging is one document made of others, which come out the same in each of the orders.
type merging struct {
	File   string     `json:"file"`
	Orders [][]string `json:"orders"`
}

type maker struct {
	keys, out string
	documents []expectation
	merges    []merging
	written   map[string][]byte
}

func makeVectors(keys, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	made := &maker{keys: keys, out: out, written: map[string][]byte{}}
	for _, step := range []func() error{made.eachPayload, made.eachKind, made.eachSigner} {
		if err := step(); err != nil {
			return err
		}
	}
	content, err := json.MarshalIndent(map[string]any{"documents": made.documents, "merges": made.merges}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "expectations.json"), append(content, '\n'), 0o644)
}

func payload(name string) []byte {
	for _, each := range payloads {
		if each.name == name {
			return []byte(each.content)
		}
	}
	panic("no payload " + name)
}

// eachPayload signs each payload with one key.
func (made *maker) eachPayload() error {
	key, err := made.pemKey("ec256")
	if err != nil {
		return err
	}
	for _, each := range payloads {
		if err := made.sign("payload-"+each.name, []byte(each.content), key, nil); err != nil {
			return err
		}
	}
	return nil
}

// eachKind signs with each kind of key, and with chains, and merges the kinds that can be merged.
func (made *maker) eachKind() error {
	for _, form := range []string{usual, plain} {
		var parts []string
		for _, stem := range []string{"ec256", "ec384", "ec521", "rsa2048", "rsa3072"} {
			key, err := made.pemKey(stem)
			if err != nil {
				return err
			}
			name := "kind-" + stem + "-" + form
			if err := made.sign(name, payload(form), key, nil); err != nil {
				return err
			}
			parts = append(parts, name)
			chain, err := os.ReadFile(filepath.Join(made.keys, stem+".chain.pem"))
			if os.IsNotExist(err) {
				continue
			} else if err != nil {
				return err
			}
			if err := made.sign("chain-"+stem+"-"+form, payload(form), key, chain); err != nil {
				return err
			}
		}
		if err := made.merge("merged-kinds-"+form, parts); err != nil {
			return err
		}
	}
	return nil
}

// eachSigner merges 1 to 20 documents, each signed by another key.
func (made *maker) eachSigner() error {
	content, err := os.ReadFile(filepath.Join(made.keys, "signers.json"))
	if err != nil {
		return err
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(content, &set); err != nil {
		return err
	}
	var parts []string
	for index, jwk := range set.Keys {
		key, err := libtrust.UnmarshalPrivateKeyJWK(jwk)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("signer-%02d", index+1)
		if err := made.sign(name, payload(usual), key, nil); err != nil {
			return err
		}
		parts = append(parts, name)
		if err := made.merge(fmt.Sprintf("merged-%02d", len(parts)), parts); err != nil {
			return err
		}
	}
	return nil
}

func (made *maker) sign(name string, content []byte, key libtrust.PrivateKey, chain []byte) error {
	js, err := libtrust.NewJSONSignature(content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := signWith(js, key, chain); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	document, err := js.PrettySignature(signatures)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return made.write(name, document)
}

// merge merges documents in several orders, which must give the same bytes.
func (made *maker) merge(name string, parts []string) error {
	var merged []byte
	var orders [][]string
	for turn := 0; turn < min(len(parts), 3); turn++ {
		order := append(append([]string{}, parts[turn:]...), parts[:turn]...)
		if turn == 1 {
			for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
				order[i], order[j] = order[j], order[i]
			}
		}
		var contents [][]byte
		for _, part := range order {
			contents = append(contents, made.written[part+".json"])
		}
		result := ask(question{Op: "merge", Documents: contents})
		if !result.OK {
			return fmt.Errorf("%s: %s", name, result.Error)
		}
		if merged != nil && !bytes.Equal(merged, result.Document) {
			return fmt.Errorf("%s: two orders give two documents", name)
		}
		merged, orders = result.Document, append(orders, files(order))
	}
	made.merges = append(made.merges, merging{File: name + ".json", Orders: orders})
	return made.write(name, merged)
}

func (made *maker) write(name string, document []byte) error {
	result := ask(question{Op: "verify", Documents: [][]byte{document}})
	if !result.OK {
		return fmt.Errorf("%s: %s", name, result.Error)
	}
	if !bytes.Equal(result.Document, document) {
		return fmt.Errorf("%s: it does not come back as it was written", name)
	}
	file := name + ".json"
	made.written[file] = document
	made.documents = append(made.documents, expectation{
		File:         file,
		Payload:      result.Payload,
		Digest:       fmt.Sprintf("sha256:%x", sha256.Sum256(result.Payload)),
		Kids:         result.Kids,
		FormatLength: commonPrefix(document, result.Payload),
		Blobs:        result.Blobs,
	})
	return os.WriteFile(filepath.Join(made.out, file), document, 0o644)
}

// commonPrefix is where document and payload part: a comma stands there in the one, white space or a brace in
// the other.
func commonPrefix(document, payload []byte) int {
	length := 0
	for length < len(payload) && document[length] == payload[length] {
		length++
	}
	return length
}

func (made *maker) pemKey(stem string) (libtrust.PrivateKey, error) {
	content, err := os.ReadFile(filepath.Join(made.keys, stem+".pem"))
	if err != nil {
		return nil, err
	}
	return libtrust.UnmarshalPrivateKeyPEM(content)
}

func files(names []string) []string {
	return strings.Split(strings.Join(names, ".json ")+".json", " ")
}
