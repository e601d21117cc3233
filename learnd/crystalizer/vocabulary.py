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
GitHub GitLab JavaScript TypeScript CoffeeScript PostgreSQL MySQL MariaDB SQLite NoSQL MongoDB GraphQL NumPy SciPy
PyPI PyTest PyTorch TensorFlow OpenAI OpenAPI DevOps FastAPI LaTeX YouTube LinkedIn MacOS WebSocket WebSockets
WebAssembly CamelCase PascalCase camelCase snake_case JetBrains IntelliJ RabbitMQ DynamoDB BigQuery CloudFront
ElasticSearch OpenSSL OpenSSH LibreSSL PowerShell VirtualBox StackOverflow iPhone eBay NaN KiB MiB GiB TiB OAuth DoS
DDoS SaaS PaaS IaaS IoT eBPF iOS macOS watchOS tvOS WiFi OpenID WebRTC WebGL PostCSS TestNG MinIO CircleCI DevTools
AddressSanitizer ThreadSanitizer MemorySanitizer LeakSanitizer UBSan DevSecOps TeamCity ClickHouse CouchDB InfluxDB
ScyllaDB CockroachDB QuickJS CronJob ConfigMap StatefulSet DaemonSet ReplicaSet NetworkPolicy ServiceAccount
PersistentVolume PersistentVolumeClaim ClusterRole RoleBinding ActiveRecord DataFrame
"""
PROPER: Final = frozenset(_PROPER.split())

_OTHER_LANGUAGES = """
const let var function return typeof instanceof undefined null this new void async await export default extends
interface implements enum type string number boolean any unknown never readonly public private protected static final
abstract package func struct map chan defer go select range nil iota make append cap panic recover error byte rune
int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 float32 float64 double char long short unsigned signed
fn impl trait pub mut crate mod use where loop unsafe dyn ref move Some Ok Err Option Result Vec String Box
addEventListener removeEventListener postMessage localStorage sessionStorage innerHTML textContent querySelector
getElementById setTimeout setInterval clearTimeout clearInterval requestAnimationFrame preventDefault createElement
appendChild parseInt parseFloat isNaN toString valueOf hasOwnProperty indexOf forEach
set then do done fi esac echo exit SELECT FROM WHERE JOIN GROUP ORDER BY INSERT UPDATE DELETE INTO VALUES COUNT SUM AVG
MIN MAX AS AND OR NOT IN ON LIMIT HAVING DISTINCT LEFT INNER OUTER UNION NULL
"""
_PYTHON = """
self cls args kwargs __init__ __main__ __name__ __file__ __all__ __repr__ __str__ __eq__ __hash__ __len__ __iter__
__next__ __enter__ __exit__ __call__ __getitem__ __setitem__ __contains__
"""
_EXCEPTIONS = """
NullPointerException IllegalArgumentException IllegalStateException IndexOutOfBoundsException ClassCastException
ArrayIndexOutOfBoundsException ConcurrentModificationException NoSuchElementException NumberFormatException IOException
RuntimeException UnsupportedOperationException InterruptedException OutOfMemoryError StackOverflowError
NullReferenceException ArgumentNullException InvalidOperationException RangeError ReferenceError SyntaxError URIError
"""
LANGUAGE: Final = frozenset(
    [
        *_EXCEPTIONS.split(),
        *keyword.kwlist,
        *keyword.softkwlist,
        *dir(builtins),
        *_PYTHON.split(),
        *_OTHER_LANGUAGES.split(),
    ]
)
"""Keywords and built-in names of the common languages: nobody's claim."""
_TERMS = """
Content Security Policy Server Sent Events Unit Work Big Open Source Active Record Visual Studio Windows Linux Google
Cloud Amazon Web Services Azure Apache Kafka Spring Boot Microsoft Red Hat Mac Safari Chrome Firefox Unix Time
Directory Internet Explorer Pull Request Merge Key Value Single Sign Cross Site Same Origin Postgres Rust Go Java
Python Node Type Script Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June
July August September October November December Latin Arabic Hebrew Cyrillic Greek Turkish German French Spanish
Unicode Standard Library Conventional Commits Semantic Versioning New Year
"""
TERMS: Final = frozenset(_TERMS.split())
"""Words of capitalised terms that are nobody's name."""
_ENGLISH = """
a about above add added adds after again all also always an and another any are as ask asks at back base be became
because become becomes been before began begin begins behind being below between both break breaks but by call called
caller calls came can cannot case catch change changed changes check checks code come comes could cut did different do
does done down each else empty end ends error errors even every exist exists expect expected expects fail failed fails
far few field file files find finds first fix fixed for found four from gave get gets give given gives go goes gone
good got had has have he held her here him his hold holds how however i if in inside instead into is it its itself
just keep keeps kept knew know known knows last later least leave leaves left less let lets like line lines list
little long longer look looks lost made make makes many may means might more most much must name named names need
needs never new next no nobody none nor not nothing now number of off old on once one ones only open or order other
others our out over own page pass passed passes past place put raise raised raises ran rather read reads real return
returned returns right row rows run runs said same saw say says second see seen send sends sent set sets should show
showed shows since so some stand stands start starts state stay stays still stop stopped stops such take taken takes
tell tells test tests text than that the their them then there these they thing this those three through time to
together too took true try turn turned turns two under until up use used user users uses value values version very
wait was way we were what when where whether which while who whose why will with within without word words work works
would write writes written wrong yes yet you your
"""
ENGLISH: Final = frozenset(_ENGLISH.split())
"""Small and common words of English prose."""
_FOREIGN = """
ogni poi sul sulla nessuno alla nel nella dal dalla delle dei degli quando come anche sono essere deve devono
dopo tutto questi muy cuando debe deben hacer sobre hasta desde ya pero como más nunca nadie ninguno ninguna
luego sólo hay fue tus dann immer niemals jede jeder jedes jeden kein keine bitte sollte muss müssen ihre ihr
wie hier nur noch wurde über oder durch chaque toujours jamais faire être doit elle au aux du ne pas sont mais
ou où si puis afin leur tout toute ainsi cada mas mesmo fazer isso ele ela pelo pela pelos depois todos muito
aqui aan bij naar ook maar moet worden wordt elk elke geen hij zijn haar ale ten ta tego jako aby lub który
zawsze nigdy der das und nicht ist dem ein eine einen für mit auf ohne vor zu sich werden wird bei aus auch wenn
alle allen nach diese dieser bisherigen vorherigen le la les des et vos votre sans pour dans ce une est sur avec
que qui ces cette tous toutes vous nous avant el los las y para sin del al por con una su todo todas esta este
antes siempre anteriores os um uma não sem seu sua gli di che per senza il della tutte tutti prima questo questa
sempre het een niet van voor zonder wij deze dit altijd og ikke til som av på inte och att för utan från ve bir
bu için tüm önce her olmadan yang dan semua tanpa untuk ini sebelum nie wszystkie przed każdym bez jest oraz się
na wszystkich poprzednie și toate fără pentru sau không và tất cả các ja kaikki ennen ilman kun minden az egy
hogy és nem előtt nélkül összes
"""
FOREIGN: Final = frozenset(_FOREIGN.split())
"""Small words of other languages that are none in English."""
_FILLER = """
explained explain simply obvious obviously clearly stated noted recommended recommend way ways approach sense
reason reasons best practice important previously earlier following mentioned necessary need required makes sure
certain case cases a about above added after again all also an and any are as at be because been before being
below better between broken bug but by bugs can change changed changes code correct correctly could describe
described did do does done error errors expected failed file files fix fixed fixes for from function functions
further good had has have here how if improve improved improves in information into is issue issues it its just
later like made make many more needed new nice no not now of off old on or other placeholder please problem
problems proper properly resolved resolves right same see should so solution some something stuff tbd than that
the their them then there these they thing things this to todo very was well were what when where which why will
with work worked working works would wrong yes fixme lorem ipsum details detail
"""
FILLER: Final = frozenset(_FILLER.split())
"""Words that say that there was a change, and no more."""
