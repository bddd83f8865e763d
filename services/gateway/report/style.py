"""The report's style: light and dark after the reader's setting, and plain on paper."""

STYLE = """
:root{color-scheme:light dark;--page:#fcfcfb;--card:#fff;--ink:#1d1d1b;--soft:#5d5b56;--rule:#e3e1db;--mark:#2a6fc9;
--muted:#a9a69d;--good:#1b7a34;--bad:#b3261e;--wait:#8a5a00}
@media (prefers-color-scheme:dark){:root{--page:#171716;--card:#20201e;--ink:#efeee9;--soft:#b0ada4;--rule:#383733;
--mark:#6ba6f2;--muted:#73716a;--good:#69c983;--bad:#ff8f85;--wait:#e5b567}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main,header{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:36px}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:44px 0 12px;padding-top:14px;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:22px 0 8px}
p{margin:8px 0}a{color:var(--mark);overflow-wrap:anywhere}.soft,caption,figcaption{color:var(--soft)}
.state{display:inline-block;font-weight:600;margin-right:14px}.good{color:var(--good)}.bad{color:var(--bad)}
.wait{color:var(--wait)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 0;padding:0;
list-style:none}
.facts li,.chain>li,.sample{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 14px}
.facts b{display:block;font-size:1.2rem;line-height:1.3;font-variant-numeric:tabular-nums}.facts span{color:var(--soft);
font-size:.85rem}
.chain{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:10px 26px;margin:0;padding:0;
list-style:none}.chain>li{position:relative}
.chain>li+li::before{content:"\\2192";position:absolute;left:-21px;top:50%;transform:translateY(-50%);color:var(--soft)}
.chain strong{display:block}.chain .did{font-size:.85rem;color:var(--soft)}
.chain ul{list-style:none;margin:6px 0 0;padding:0;font-size:.85rem;font-variant-numeric:tabular-nums}
figure{margin:14px 0}svg{display:block;width:100%;min-width:440px;max-width:820px;height:auto}
svg text{font:13px system-ui,sans-serif;fill:var(--ink)}svg .tick{fill:var(--soft);font-size:12px}
.bar{fill:var(--mark)}.bar.muted{fill:var(--muted)}.axis{stroke:var(--soft)}.grid{stroke:var(--rule)}
.curve{fill:none;stroke:var(--mark);stroke-width:2;stroke-linejoin:round}.dot{fill:var(--mark)}
figcaption{font-size:.85rem}caption{text-align:left;font-size:.9rem;font-weight:600;padding:14px 0 6px}
.wide{overflow-x:auto}.wide:focus-visible,a:focus-visible,summary:focus-visible{outline:2px solid var(--mark);
outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:7px 10px;
border-bottom:1px solid var(--rule);vertical-align:top}th{color:var(--soft);font-weight:600}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
.digest{display:inline-block;max-width:13ch;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
vertical-align:bottom;user-select:all}.digest:hover,.digest:focus{max-width:none}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:12px}
.sample pre{font-family:Georgia,"Times New Roman",serif;font-size:1rem}.sample b{color:var(--soft);font-size:.85rem}
.sample .given{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;margin:6px 0;font-size:.9rem}dt{color:var(--soft)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}ol{margin:4px 0;padding-left:26px}
details{margin:12px 0}summary{cursor:pointer}footer{max-width:1080px;margin:48px auto 36px;padding:0 20px;
color:var(--soft);font-size:.85rem}
@media print{details>*{display:block}.wide{overflow:visible}h2{break-after:avoid}figure,.sample,tr{break-inside:avoid}}
"""
