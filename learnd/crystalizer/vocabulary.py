"""Words that name nothing of a change: folders everyone has, proper names, and the languages' own vocabulary.

`grounding` reads prose for code; these are what it must not take for somebody's symbol or path.
"""

from __future__ import annotations

import builtins
import keyword
from typing import Final

_FOLDERS = """
src lib libs test tests spec docs doc app apps packages pkg cmd internal bin scripts tools include vendor node_modules
etc usr var tmp home opt root .github .git .agent .runs dist build target public static assets config configs
"""
FOLDERS: Final = frozenset(_FOLDERS.split())
"""A slashed word that begins with one of these is a path even in prose, where `and/or` is none."""

_PROPER = """
GitHub GitLab JavaScript TypeScript CoffeeScript PostgreSQL MySQL MariaDB SQLite NoSQL MongoDB GraphQL NumPy SciPy PyPI
PyTest PyTorch TensorFlow OpenAI OpenAPI DevOps FastAPI LaTeX YouTube LinkedIn MacOS WebSocket WebSockets WebAssembly
CamelCase PascalCase camelCase snake_case JetBrains IntelliJ RabbitMQ DynamoDB BigQuery CloudFront ElasticSearch OpenSSL
OpenSSH LibreSSL PowerShell VirtualBox StackOverflow iPhone eBay
"""
PROPER: Final = frozenset(_PROPER.split())

_OTHER_LANGUAGES = """
const let var function return typeof instanceof undefined null this new void async await export default extends
interface implements enum type string number boolean any unknown never readonly public private protected static final
abstract package func struct map chan defer go select range nil iota make append cap panic recover error byte rune
int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 float32 float64 double char long short unsigned signed
fn impl trait pub mut crate mod use where loop unsafe dyn ref move Some Ok Err Option Result Vec String Box
then do done fi esac echo exit SELECT FROM WHERE JOIN GROUP ORDER BY INSERT UPDATE DELETE INTO VALUES COUNT SUM AVG
MIN MAX AS AND OR NOT IN ON LIMIT HAVING DISTINCT LEFT INNER OUTER UNION NULL
"""
_PYTHON = """
self cls args kwargs __init__ __main__ __name__ __file__ __all__ __repr__ __str__ __eq__ __hash__ __len__ __iter__
__next__ __enter__ __exit__ __call__ __getitem__ __setitem__ __contains__
"""
LANGUAGE: Final = frozenset(
    [*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_PYTHON.split(), *_OTHER_LANGUAGES.split()]
)
"""Keywords and built-in names of the common languages: nobody's claim."""
