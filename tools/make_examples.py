# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy==2.4.6",
#   "pillow==13.0.0",
#   "pypdfium2==5.15.2",
#   "python-docx==1.2.0",
#   "reportlab==5.1.0",
# ]
# ///
"""Make the documents in examples/ that `make demo` uploads.

    uv run tools/make_examples.py [folder]

reportlab sets the PDFs and is needed here only, so it is declared above and not in the
project. No font file is used: the PDFs name the standard fonts (Times, Helvetica, Courier),
and the two pictures are PDF pages that pdfium draws with the copies of those fonts it carries.
With the versions above, every run writes the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import random
import re
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from docx import Document
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm as DocxCm
from docx.shared import Pt, RGBColor
from PIL import Image, ImageFilter
from reportlab import rl_config
from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    ListFlowable,
    ListItem,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

rl_config.useA85 = 0  # JPEG bytes go into the PDF as they are
rl_config.invariant = 1  # no clock and no random id in the PDF

NETWORK = "Stonecrop Ridge Weather Stations"
STAMP = dt.datetime(2026, 1, 5, 9, 0, 0)

SLATE = HexColor("#22384a")
OCHRE = HexColor("#b06a1e")
MIST = HexColor("#eef2f4")
RULE = HexColor("#b9c4cb")

# --------------------------------------------------------------------------- the handbook

# One list per page; the first is the cover's text. Kinds: h1, h2, p, ul, table.
HANDBOOK: list[list[tuple[str, Any]]] = [
    [
        (
            "p",
            "Five automatic stations stand on Stonecrop Ridge, from the hay meadow at its foot to "
            "the summit 1,669 metres higher. They measure the same things in the same way, every "
            "ten minutes, so that one column of air can be compared with the next.",
        ),
        (
            "p",
            "This handbook says what stands where, what each number means, how the stations keep "
            "themselves alive through a dark week in winter, and how to work beside them without "
            "getting hurt. Repairs are described in the <i>Maintenance Guide</i>, and the checks "
            "of the instruments against a reference in the <i>Calibration Notes</i>.",
        ),
        ("contents", None),
    ],
    [
        ("h1", "1 The network"),
        (
            "p",
            "A single station tells you the weather at one place. A line of stations up the side "
            "of a mountain tells you how the weather is layered: where the cold air lies, at what "
            "height rain turns to snow, and how much of the wind on the summit ever reaches the "
            "valley. That is the purpose of the network, and every rule in this handbook follows "
            "from it. A reading that cannot be compared with its neighbours is of little use here, "
            "however good it is by itself.",
        ),
        ("h2", "1.1 The five stations"),
        (
            "table",
            {
                "widths": [12, 26, 22, 82],
                "rows": [
                    ["No.", "Station", "Height", "Setting and peculiarities"],
                    [
                        "S1",
                        "Meadow",
                        "742 m",
                        "Valley floor, open grass. Cold air pools here on clear nights.",
                    ],
                    [
                        "S2",
                        "Larchwood",
                        "1,184 m",
                        "Clearing in the forest, 40 m from the nearest trees.",
                    ],
                    [
                        "S3",
                        "Tarn",
                        "1,623 m",
                        "Shore of a small lake. The only station with soil thermometers.",
                    ],
                    [
                        "S4",
                        "Saddle",
                        "2,051 m",
                        "Gap in the ridge and radio relay. Wind blows along two directions only.",
                    ],
                    [
                        "S5",
                        "Summit",
                        "2,411 m",
                        "Bare rock. Heated wind instruments; rime from October to May.",
                    ],
                ],
            },
        ),
        (
            "p",
            "The stations are between 428 and 442 metres of height apart, except the last pair, "
            "which is 360 metres apart because the mountain ends there. In still, well-mixed air "
            "the temperature should fall by roughly 2.8 degrees from each station to the next.",
        ),
        ("h2", "1.2 When the order turns round"),
        (
            "p",
            "On clear, windless nights the order is often reversed, and Meadow is the coldest "
            "place on the ridge. This is an inversion, not a fault. Treat it as real when "
            "Larchwood is warmer than Meadow for at least three hours, the wind at Meadow stays "
            "below one metre per second, and the effect ends within two hours of sunrise. If one "
            "of the three conditions is missing, suspect the radiation shield at Meadow first.",
        ),
        ("h2", "1.3 Names and numbers"),
        (
            "p",
            "Use the short number (S1 to S5) in file names and over the radio, and the name in "
            "anything that people will read. Numbers are never given to another site: if a station "
            "is moved by more than 20 metres, or by more than 5 metres of height, it becomes a new "
            "station and receives the next free number.",
        ),
    ],
    [
        ("h1", "2 The instruments"),
        (
            "p",
            "All stations carry the same basic set, bought in one batch and mounted at the same "
            "heights above the ground. Where snow lies deep, the height is counted from the bare "
            "ground and not from the surface of the snow; the snow depth is reported beside every "
            "reading so that users can allow for it.",
        ),
        (
            "table",
            {
                "widths": [38, 22, 34, 48],
                "rows": [
                    ["Instrument", "Mounted at", "Range", "Good to within"],
                    ["Air thermometer", "2.0 m", "-40 to +45 °C", "0.2 °C"],
                    ["Hygrometer", "2.0 m", "5 to 100 %", "3 %, or 5 % below freezing"],
                    ["Cup anemometer", "6.0 m", "0.5 to 60 m/s", "0.3 m/s or 2 %"],
                    ["Wind vane", "6.0 m", "0 to 359°", "4°"],
                    ["Barometer", "in the box", "600 to 1,080 hPa", "0.3 hPa"],
                    ["Tipping-bucket rain gauge", "1.2 m", "0 to 200 mm/h", "3 % below 50 mm/h"],
                    ["Snow depth sensor", "3.5 m", "0 to 300 cm", "1 cm"],
                ],
            },
        ),
        ("h2", "2.1 Temperature and humidity"),
        (
            "p",
            "The thermometer and the hygrometer share a white shield of stacked plates, which lets "
            "the wind through and keeps the sun out. In calm air over fresh snow, light reflected "
            "from below can still warm the sensor by up to 1.5 degrees. Midday maxima of such days "
            "carry the flag E.",
        ),
        ("h2", "2.2 Wind"),
        (
            "p",
            "The cups need half a metre per second to start turning, so a reading of 0.0 means "
            "“less than 0.5”. A gust is the highest three-second mean within the ten-minute "
            "interval. Only the anemometers at Saddle and Summit are heated, with 40 watts each, "
            "and the heaters run only between -15 and +2 degrees, where rime forms.",
        ),
        ("h2", "2.3 Rain and snow"),
        (
            "p",
            "One tip of the bucket is 0.2 millimetres of rain. The gauges are not heated: snow "
            "that falls into the funnel is counted when it melts, perhaps days later. Between "
            "November and April, use the snow depth sensor for new snow and read the gauge as a "
            "total over several days.",
        ),
    ],
    [
        ("h1", "3 From a reading to a record"),
        (
            "p",
            "Each instrument is sampled every five seconds. The logger forms means, extremes and "
            "totals over ten minutes and stores them with the time at which the interval ended. "
            "All times are in UTC, in summer as in winter; nobody ever has to ask whether an "
            "hour is missing. Daily values run from 00:00 to 24:00 UTC.",
        ),
        ("h2", "3.1 Quality flags"),
        (
            "p",
            "Every row carries one letter. It is set by the logger and may later be changed by a "
            "person, but a value is never overwritten: a doubtful number with a flag is worth more "
            "than a clean gap.",
        ),
        (
            "table",
            {
                "widths": [14, 26, 102],
                "rows": [
                    ["Flag", "Name", "Meaning"],
                    ["G", "good", "Passed every automatic test."],
                    ["E", "estimated", "Usable, but outside the accuracy stated in chapter 2."],
                    ["I", "iced", "Wind instruments covered with rime; use neither mean nor gust."],
                    [
                        "W",
                        "work",
                        "Somebody was at the station; ten minutes before and after too.",
                    ],
                    ["M", "missing", "No value was stored. The field is empty, never zero."],
                ],
            },
        ),
        ("h2", "3.2 The automatic tests"),
        (
            "ul",
            [
                "<b>Range.</b> The value lies within the range of the instrument.",
                "<b>Step.</b> Temperature changes by less than 6 degrees, and pressure by less "
                "than 2 hPa, between two intervals.",
                "<b>Standstill.</b> A wind speed that stays at exactly the same figure for two "
                "hours, in air below +2 degrees, is flagged I.",
                "<b>Neighbours.</b> Pressure at each station agrees within 1.5 hPa with the value "
                "computed from the station below it.",
            ],
        ),
        ("h2", "3.3 How to recognise ice"),
        (
            "p",
            "Ice on the cups seldom stops them at once. First the gusts fade while the mean holds; "
            "then the mean sinks towards zero over an hour or two, although the neighbouring "
            "station reports a gale. When the cups break free, the first interval often shows an "
            "absurdly high gust, because lumps of rime unbalance the rotor. Flag everything from "
            "the first fading gust to one hour after the cups turn again.",
        ),
    ],
    [
        ("h1", "4 Power in the dark season"),
        (
            "p",
            "Each station lives on two 60-watt solar panels, hung vertically so that snow slides "
            "off, and on a bank of sealed lead batteries in a box lined with cork. There is no "
            "generator and no cable from the valley. In December the sun reaches Larchwood for "
            "less than three hours a day.",
        ),
        ("h2", "4.1 How long the battery lasts"),
        (
            "p",
            "Without sun, a full battery lasts ten days. The bank holds 200 ampere-hours, of which "
            "120 may be used without harm, and an ordinary day takes 12. As the voltage sinks, "
            "the logger sheds load in four stages. What is switched off first is the heating, "
            "because it takes the most and matters least to the record; the logger itself runs to "
            "the end. So stretched, a battery can last five days longer.",
        ),
        (
            "table",
            {
                "widths": [16, 24, 60, 42],
                "rows": [
                    ["Stage", "Below", "Switched off", "Saves per day"],
                    ["1", "12.2 V", "Anemometer heaters", "up to 20 Ah"],
                    ["2", "12.0 V", "Camera", "4 Ah"],
                    ["3", "11.8 V", "Radio, except once an hour", "5 Ah"],
                    ["4", "11.6 V", "Everything but the logger", "2 Ah"],
                ],
            },
        ),
        (
            "p",
            "A stage is left again only when the voltage has stood 0.3 V above its limit for a "
            "full hour. Otherwise a passing gap in the clouds would switch the heaters on and off "
            "all afternoon.",
        ),
        ("h2", "4.2 Cold batteries"),
        (
            "p",
            "At -20 degrees a lead battery gives up only about six tenths of its charge, and a "
            "discharged one can freeze and crack. Never leave a bank below 11.6 V in a frost: "
            "disconnect it, carry it down, and charge it indoors. A battery that has frozen is "
            "waste, even if it seems to recover.",
        ),
        ("h2", "4.3 Reading the voltage"),
        (
            "p",
            "The daily voltage in the record is the mean of the hour before sunrise, when nothing "
            "charges and little is drawn. A healthy bank shows 12.6 to 12.9 V then. In "
            "overcast weather a fall of 0.1 V per day is normal; the same fall under a clear sky "
            "means snow on the panels, or a loose terminal.",
        ),
    ],
    [
        ("h1", "5 Working on the ridge"),
        (
            "p",
            "No reading is worth an injury. Anyone may call off a visit at any time, without "
            "giving reasons, and nobody will ask for them afterwards. Stations above the tree "
            "line are visited by two people, always.",
        ),
        ("h2", "5.1 Before you set out"),
        (
            "ul",
            [
                "Look at the last six hours of wind at Saddle and Summit, not only at the "
                "forecast.",
                "Leave your route and the hour of your return with the valley desk.",
                "Carry a radio with a full battery, and a spare one inside your jacket.",
                "Agree on the hour at which you will turn back, and keep to it.",
            ],
        ),
        ("h2", "5.2 Climbing a mast"),
        (
            "p",
            "Masts are climbed with a harness and two lanyards, one of which is always clipped "
            "in. Do not climb if the mean wind exceeds 12 metres per second at the station, if "
            "any gust in the past half hour exceeded 18, or if there is ice on the rungs. Tilt "
            "the mast instead wherever its hinge is free: at Meadow, Larchwood and Tarn there is "
            "never a reason to climb.",
        ),
        ("h2", "5.3 Thunderstorms"),
        (
            "p",
            "Count the seconds between lightning and thunder. At thirty or fewer, stop work, "
            "leave the tools, and go down on the eastern path as far as the stone hut. Do not "
            "shelter in the instrument box or beside a guy wire. Work may begin again thirty "
            "minutes after the last thunder. A humming mast or rising hair leaves no time to "
            "count: crouch low, feet together, away from the mast and from each other.",
        ),
        ("h2", "5.4 Falling ice"),
        (
            "p",
            "After a spell of rime, the first hour of sun is the most dangerous of the day. The "
            "sign at the entrance to the Summit station gives the rules; they hold at Saddle, too. "
            "The yellow rope marks the distance to which ice has been found, and not a distance "
            "somebody once thought safe.",
        ),
    ],
    [
        ("h1", "6 Sending the data home"),
        (
            "p",
            "Summit and Tarn cannot see the valley. They send to Saddle, and Saddle passes their "
            "packets on to the valley desk together with its own. Meadow and Larchwood send to the "
            "desk directly. The whole exchange takes less than four seconds and is repeated every "
            "ten minutes.",
        ),
        ("h2", "6.1 When the relay is down"),
        (
            "p",
            "If Saddle is silent, three stations fall silent with it, but nothing is lost. Each "
            "logger keeps 400 days of ten-minute values in its own memory, and on the next contact "
            "sends what is missing, newest first, in blocks of six hours. Catching up on one week "
            "takes about twenty minutes. Do not restart a logger to “help” it: that interrupts the "
            "transfer and gains nothing.",
        ),
        ("h2", "6.2 Clocks"),
        (
            "p",
            "Loggers set their clocks from the satellite receiver at noon UTC. A correction of "
            "more than two seconds is written to the station's journal. If the receiver sees no "
            "satellites for three days, the rows of those days keep their flag but are marked in "
            "the journal as “time unconfirmed”. In practice this happens when snow has covered "
            "the antenna.",
        ),
        ("h2", "6.3 Fetching data by hand"),
        (
            "p",
            "Open the box, connect the service cable, and wait for the green light to blink twice. "
            "Copy the folder named after the station onto two separate memory cards, and compare "
            "the number of files before you close the box. The two cards travel down the mountain "
            "in different rucksacks.",
        ),
        ("h2", "6.4 What leaves the network"),
        (
            "p",
            "Ten-minute values are published after one hour with the automatic flags, and again "
            "after the monthly review with the final ones. Both versions are kept. Anyone who "
            "cites our figures is asked to name the station by its number and to say which of "
            "the two versions was used.",
        ),
    ],
    [
        ("h1", "7 For reference"),
        ("h2", "7.1 Calendar of the year"),
        (
            "table",
            {
                "widths": [30, 112],
                "rows": [
                    ["Month", "Work"],
                    ["January", "Monthly review of the past year. No visits above Larchwood."],
                    ["April", "Check of snow stakes at S3 to S5 on skis; photograph every mast."],
                    ["May", "Spring inspection of all stations, beginning with S3."],
                    [
                        "June",
                        "Barometer round: the travelling reference visits all five in one day.",
                    ],
                    ["August", "Painting, path repairs, transport of heavy parts."],
                    [
                        "October",
                        "Autumn inspection; batteries tested under load; heaters switched on.",
                    ],
                ],
            },
        ),
        ("h2", "7.2 A few terms"),
        ("p", "<b>Guy wire.</b> One of the three steel ropes that hold a mast upright."),
        (
            "p",
            "<b>Inversion.</b> A layer in which the air becomes warmer with height instead of "
            "colder. See section 1.2.",
        ),
        (
            "p",
            "<b>Rime.</b> Ice that grows into the wind when droplets of cloud, still liquid below "
            "zero, freeze on whatever they touch. It is white, rough and heavy.",
        ),
        (
            "p",
            "<b>Station pressure.</b> The pressure at the height of the barometer, as measured. "
            "The network stores only this, and never a value reduced to sea level, because the "
            "reduction needs a temperature that nobody measures: that of the air inside the "
            "mountain.",
        ),
        (
            "p",
            "<b>Valley desk.</b> The room beside the barn at Meadow from which visits are followed "
            "by radio. It is staffed whenever somebody is on the ridge.",
        ),
        ("h2", "7.3 Changes in this edition"),
        (
            "p",
            "Section 4.1 now gives the four stages of load shedding by voltage instead of by time. "
            "Section 5.2 lowers the limit for climbing from 15 to 12 metres per second. The flag W "
            "is new.",
        ),
    ],
]


def smart(text: str) -> str:
    """Typographic apostrophes and minus signs, as far as the standard fonts have them."""
    return re.sub(r"(^|[ (])-(?=\d)", "\\1\u2013", text.replace("'", "\u2019"))


BODY = ParagraphStyle(
    "body", fontName="Times-Roman", fontSize=12, leading=17.4, spaceAfter=8, alignment=TA_LEFT
)
LEAD = ParagraphStyle("lead", parent=BODY, fontSize=12.5, leading=18, spaceAfter=8)
CELL = ParagraphStyle(
    "cell", parent=BODY, fontName="Helvetica", fontSize=9.4, leading=12.6, spaceAfter=0
)
HEAD = ParagraphStyle("head", parent=CELL, fontName="Helvetica-Bold", textColor=white)
H1 = ParagraphStyle(
    "h1", fontName="Helvetica-Bold", fontSize=20, leading=24, textColor=SLATE, spaceAfter=12
)
H2 = ParagraphStyle(
    "h2",
    fontName="Helvetica-Bold",
    fontSize=13,
    leading=17,
    textColor=OCHRE,
    spaceBefore=10,
    spaceAfter=4,
    keepWithNext=1,
)


def flowables(content: list[tuple[str, Any]], body: ParagraphStyle) -> list[Any]:
    out: list[Any] = []
    for kind, value in content:
        if kind == "h1":
            out.append(Paragraph(smart(value), H1))
        elif kind == "h2":
            out.append(Paragraph(smart(value), H2))
        elif kind == "p":
            out.append(Paragraph(smart(value), body))
        elif kind == "ul":
            items = [ListItem(Paragraph(smart(item), body), spaceAfter=-2) for item in value]
            out.append(
                ListFlowable(
                    items, bulletType="bullet", start="\u2022", leftIndent=14, bulletColor=OCHRE
                )
            )
            out.append(Spacer(1, 5))
        elif kind == "contents":
            titles = [text for page in HANDBOOK for kind, text in page if kind == "h1"]
            rows = [[title, number] for number, title in enumerate(titles, 2)]
            table = Table(rows, colWidths=[66 * mm, 8 * mm], rowHeights=14, hAlign="LEFT")
            table.setStyle(
                TableStyle(
                    [
                        ("FONT", (0, 0), (-1, -1), "Helvetica", 9.4),
                        ("TEXTCOLOR", (0, 0), (-1, -1), SLATE),
                        ("ALIGN", (1, 0), (1, -1), "RIGHT"),
                        ("LEFTPADDING", (0, 0), (-1, -1), 0),
                        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
                    ]
                )
            )
            out += [Spacer(1, 6), table]
        elif kind == "table":
            header, *rows = value["rows"]
            cells = [[Paragraph(smart(c), HEAD) for c in header]]
            cells += [[Paragraph(smart(c), CELL) for c in row] for row in rows]
            table = Table(
                cells, colWidths=[w * mm for w in value["widths"]], hAlign="LEFT", repeatRows=1
            )
            table.setStyle(
                TableStyle(
                    [
                        ("BACKGROUND", (0, 0), (-1, 0), SLATE),
                        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, MIST]),
                        ("LINEBELOW", (0, -1), (-1, -1), 0.6, RULE),
                        ("VALIGN", (0, 0), (-1, -1), "TOP"),
                        ("TOPPADDING", (0, 0), (-1, -1), 3.5),
                        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
                        ("LEFTPADDING", (0, 0), (-1, -1), 5),
                    ]
                )
            )
            out += [Spacer(1, 3), table, Spacer(1, 10)]
    return out


def footer(canvas: Canvas, page: int) -> None:
    canvas.setStrokeColor(RULE)
    canvas.setLineWidth(0.5)
    canvas.line(34 * mm, 19 * mm, A4[0] - 34 * mm, 19 * mm)
    canvas.setFillColor(SLATE)
    canvas.setFont("Helvetica", 8)
    canvas.drawString(34 * mm, 14 * mm, f"{NETWORK}  \u00b7  Station Handbook")
    canvas.drawRightString(A4[0] - 34 * mm, 14 * mm, f"Page {page} of {len(HANDBOOK)}")


def ridge(canvas: Canvas) -> None:
    """The cover: the ridge in profile, the stations at their true relative heights."""
    width, height = A4
    base, top = 140 * mm, height
    canvas.setFillColor(HexColor("#dfe8ec"))
    canvas.rect(0, base, width, top - base, stroke=0, fill=1)

    def range_of_hills(color: str, seed: int, low: float, high: float) -> None:
        rnd = random.Random(seed)
        path = canvas.beginPath()
        path.moveTo(0, base)
        steps = 26
        for i in range(steps + 1):
            wave = 0.5 + 0.32 * math.sin(i * 0.55 + seed) + 0.18 * rnd.random()
            path.lineTo(width * i / steps, base + low + (high - low) * wave)
        path.lineTo(width, base)
        path.close()
        canvas.setFillColor(HexColor(color))
        canvas.drawPath(path, stroke=0, fill=1)

    range_of_hills("#c9d6dc", 3, 22 * mm, 66 * mm)
    range_of_hills("#afc1ca", 8, 12 * mm, 44 * mm)

    def at(metres: float) -> float:
        return base + 8 * mm + (metres - 742) / (2411 - 742) * 78 * mm

    profile = [
        (0, 742), (38, 742), (52, 900), (66, 1080), (78, 1184), (92, 1290), (105, 1500),
        (116, 1623),
        (124, 1610), (136, 1790), (148, 2060), (155, 2051), (161, 2150), (170, 2330), (177, 2411),
        (186, 2300), (194, 2040), (210, 1700),
    ]  # fmt: skip
    path = canvas.beginPath()
    path.moveTo(0, base)
    for x, metres in profile:
        path.lineTo(x * mm, at(metres))
    path.lineTo(width, base)
    path.close()
    canvas.setFillColor(SLATE)
    canvas.drawPath(path, stroke=0, fill=1)

    for x, metres, label in [
        (30, 742, "S1 Meadow"),
        (78, 1184, "S2 Larchwood"),
        (116, 1623, "S3 Tarn"),
        (152, 2053, "S4 Saddle"),
        (177, 2411, "S5 Summit"),
    ]:
        foot = at(metres)
        canvas.setStrokeColor(OCHRE)
        canvas.setLineWidth(1.3)
        canvas.line(x * mm, foot, x * mm, foot + 9 * mm)
        canvas.line(x * mm - 2 * mm, foot + 8 * mm, x * mm + 2 * mm, foot + 8 * mm)
        canvas.setFillColor(OCHRE)
        canvas.circle(x * mm, foot + 9 * mm, 1.1 * mm, stroke=0, fill=1)
        canvas.setFillColor(SLATE)
        canvas.setFont("Helvetica-Bold", 8.5)
        canvas.drawRightString(x * mm - 3 * mm, foot + 9.5 * mm, label)
        canvas.setFont("Helvetica", 8)
        canvas.drawRightString(
            x * mm - 3 * mm, foot + 6 * mm, f"{metres if metres != 2053 else 2051:,} m"
        )

    canvas.setFillColor(SLATE)
    canvas.setFont("Helvetica-Bold", 36)
    canvas.drawString(34 * mm, top - 40 * mm, "Station Handbook")
    canvas.setFont("Helvetica", 15)
    canvas.drawString(34 * mm, top - 50 * mm, NETWORK)
    canvas.setFillColor(OCHRE)
    canvas.rect(34 * mm, top - 57 * mm, 24 * mm, 1.1 * mm, stroke=0, fill=1)
    canvas.setFillColor(SLATE)
    canvas.setFont("Helvetica", 9.5)
    canvas.drawString(34 * mm, top - 65 * mm, "Fourth edition, January 2026")


class Handbook(BaseDocTemplate):
    """Adds every heading to the PDF's outline."""

    headings = 0

    def afterFlowable(self, flowable: Any) -> None:  # noqa: N802 (reportlab's name)
        """Called by reportlab after each piece it has set."""
        style = getattr(getattr(flowable, "style", None), "name", "")
        if style in ("h1", "h2"):
            self.headings += 1
            key = f"heading-{self.headings}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, 0 if style == "h1" else 1)


def make_handbook(target: Path) -> None:
    doc = Handbook(
        str(target),
        pagesize=A4,
        title=f"Station Handbook, {NETWORK}",
        author="docmill examples",
        subject="Example document for docmill; the network is invented",
        lang="en-GB",
    )
    width = A4[0] - 68 * mm
    plain = {"leftPadding": 0, "rightPadding": 0, "topPadding": 0, "bottomPadding": 0}
    doc.addPageTemplates(
        [
            PageTemplate(
                "cover",
                [Frame(34 * mm, 26 * mm, width, 100 * mm, **plain)],
                onPage=lambda c, d: ridge(c),
                onPageEnd=lambda c, d: footer(c, 1),
            ),
            PageTemplate(
                "text",
                [Frame(34 * mm, 24 * mm, width, A4[1] - 48 * mm, **plain)],
                onPageEnd=lambda c, d: footer(c, d.page),
            ),
        ]
    )
    story: list[Any] = [NextPageTemplate("text")]
    for number, page in enumerate(HANDBOOK):
        if number:
            story.append(PageBreak())
        story += flowables(page, BODY if number else LEAD)
    doc.build(story)


# --------------------------------------------------------------------------- the Word guide


def new_numbering(document: Any, style: str) -> int:
    """A fresh numbered list, so that every procedure starts at 1."""
    numbering = document.part.numbering_part.numbering_definitions._numbering
    base = document.styles[style].element.pPr.numPr.numId.val
    abstract = numbering.num_having_numId(base).abstractNumId.val
    num = numbering.add_num(abstract)
    num.add_lvlOverride(0).add_startOverride(1)
    return int(num.numId)


def field(paragraph: Any, code: str) -> None:
    for kind, text in (("begin", ""), ("", code), ("separate", ""), ("text", "1"), ("end", "")):
        run = paragraph.add_run()
        if kind == "text":
            run.text = text
        elif kind:
            char = OxmlElement("w:fldChar")
            char.set(qn("w:fldCharType"), kind)
            run._r.append(char)
        else:
            instr = OxmlElement("w:instrText")
            instr.text = text
            run._r.append(instr)


def shade(cell: Any, color: str) -> None:
    shading = OxmlElement("w:shd")
    shading.set(qn("w:val"), "clear")
    shading.set(qn("w:fill"), color)
    cell._tc.get_or_add_tcPr().append(shading)


def word_table(document: Any, rows: list[list[str]], widths: list[float]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
    table.alignment = WD_TABLE_ALIGNMENT.LEFT
    table.autofit = False
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            cell = table.cell(r, c)
            cell.width = DocxCm(widths[c])
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = Pt(2)
            paragraph.paragraph_format.space_before = Pt(2)
            run = paragraph.add_run(text)
            run.font.size = Pt(9.5)
            if r == 0:
                run.bold = True
                shade(cell, "DCE5EA")
    header = table.rows[0]._tr.get_or_add_trPr()
    header.append(OxmlElement("w:tblHeader"))
    document.add_paragraph().paragraph_format.space_after = Pt(2)


def word_document() -> Any:
    """An empty A4 document with our styles and a numbered footer."""
    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = DocxCm(21), DocxCm(29.7)
    section.left_margin = section.right_margin = DocxCm(2.6)
    section.top_margin = section.bottom_margin = DocxCm(2.2)
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(11)
    normal.paragraph_format.space_after = Pt(6)
    for name, size in (("Title", 26), ("Heading 1", 16), ("Heading 2", 12.5)):
        style = document.styles[name]
        style.font.name, style.font.size = "Calibri", Pt(size)
        style.font.color.rgb = RGBColor(0x22, 0x38, 0x4A)
        fonts = style.element.rPr.rFonts
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)
    for name in ("List Number", "List Bullet"):
        document.styles[name].paragraph_format.space_after = Pt(2)

    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    foot.add_run(f"{NETWORK} · Maintenance Guide · page ").font.size = Pt(9)
    field(foot, "PAGE")
    return document


def make_guide(target: Path) -> None:
    document = word_document()

    def steps(*items: str) -> None:
        number = new_numbering(document, "List Number")
        for item in items:
            paragraph = document.add_paragraph(item, style="List Number")
            props = paragraph._p.get_or_add_pPr().get_or_add_numPr()
            props.get_or_add_ilvl().val = 0
            props.get_or_add_numId().val = number

    def bullets(*items: str) -> None:
        for item in items:
            document.add_paragraph(item, style="List Bullet")

    def chapter(title: str) -> None:
        """A chapter on a new page, with the mark that Word leaves where a page began."""
        document.add_page_break()
        run = document.add_heading(title, 1).runs[0]
        run._r.insert(0, OxmlElement("w:lastRenderedPageBreak"))

    document.add_heading("Maintenance Guide", 0)
    document.add_paragraph(
        "This guide is for the two people standing at a station with cold fingers. Each procedure "
        "fits on one page, names its tools first, and ends with a check that tells you whether it "
        "worked. Note the time of arrival and departure: rows in between receive the flag W."
    )
    document.add_heading("1. Planning a visit", 1)
    document.add_heading("What is due, and when", 2)
    word_table(
        document,
        [
            ["Task", "Interval", "Stations", "Time needed"],
            ["Rain gauge: clean", "Each visit", "all", "15 min"],
            ["Radiation shield: wash", "6 months", "all", "20 min"],
            ["Cup bearings: exchange", "12 months", "S4, S5", "40 min"],
            ["Cup bearings: exchange", "24 months", "S1, S2, S3", "40 min"],
            ["Guy wires: inspect", "12 months", "all", "30 min"],
            ["Desiccant in the box: renew", "12 months", "all", "5 min"],
            ["Battery: test under load", "Each October", "all", "30 min"],
        ],
        [6.2, 3.2, 3.2, 3.0],
    )
    document.add_heading("The rucksack", 2)
    bullets(
        "Spanners of 10, 13 and 17 mm; hexagon keys of 2 to 6 mm; side cutters.",
        "Bearing kit: two sealed bearings, circlip, circlip pliers, a sheet of white cloth.",
        "Soft bottle brush, wooden toothpicks, one litre of clean water. No detergent.",
        "Multimeter, contact grease, self-fusing tape, ten cable ties that stand the cold.",
        "Two bags of desiccant, sealed until the moment you need them.",
    )
    document.add_heading("On arrival", 2)
    document.add_paragraph(
        "Walk once round the mast before touching anything, and photograph it from the north. "
        "Look for frayed wires, leaning posts, tracks of animals and standing water. What you "
        "see in the first two minutes is what you will no longer notice after ten."
    )
    chapter("2. Wind and rain")
    document.add_heading("Replacing the bearings of the cup anemometer", 2)
    document.add_paragraph(
        "Worn bearings raise the speed at which the cups start to turn, so light winds vanish from "
        "the record long before anything squeals. Replace both bearings together, never one alone."
    )
    steps(
        "Lower the mast, or climb it as chapter 5 of the handbook allows, and unplug the "
        "anemometer.",
        "Mark the position of the cup rotor on the shaft with a pencil, then loosen its grub screw "
        "with the 2 mm key and lift the rotor off.",
        "Over the white cloth, remove the circlip and push the old bearings out from below.",
        "Press the new bearings in with your thumbs. If they need a hammer, they are the wrong "
        "size.",
        "Fit circlip and rotor, and tighten the grub screw until the key just begins to bend.",
    )
    document.add_paragraph(
        "Check: blow gently against one cup. The rotor must turn at least three times and come to "
        "rest slowly, without a jerk. Do not add grease: the bearings are sealed for life, and "
        "grease stiffens in the frost."
    )
    document.add_heading("Cleaning the rain gauge", 2)
    document.add_paragraph(
        "Larch needles, pollen and spiders are the three enemies of a rain gauge. A half-blocked "
        "funnel does not lose rain; it delivers it late, which is worse, because it looks "
        "plausible."
    )
    steps(
        "Unplug the counter, so that your work is not recorded as a cloudburst.",
        "Lift the funnel off and push the brush through its outlet from below.",
        "Free the two buckets of deposits with water and a toothpick. Never touch the inside with "
        "your fingers: skin grease makes drops cling.",
        "Level the base with its three feet until the bubble stands inside the ring.",
        "Put the funnel back, pour in 20 ml of water and count five tips. Then plug the counter "
        "in.",
    )
    chapter("3. Shield, box and faults")
    document.add_heading("Washing the radiation shield", 2)
    steps(
        "Take the sensor out of the shield and put it in your inner pocket.",
        "Wash the plates with plain water, top to bottom, until the cloth stays white.",
        "Dry them, put the sensor back, and see that the cable makes a loop from which drops can "
        "fall.",
    )
    document.add_heading("The instrument box", 2)
    document.add_paragraph(
        "The box must be dry rather than warm. Renew the desiccant when its window has turned from "
        "orange to green, press the rubber seal clean with a thumb along its whole length, and "
        "close unused cable glands with plugs, not with tape."
    )
    document.add_heading("Finding a fault", 2)
    word_table(
        document,
        [
            ["What you notice", "Likely cause", "What to do"],
            ["Light winds are missing", "Worn bearings", "Exchange both bearings, section 2"],
            [
                "Rain continues after the shower",
                "Funnel half blocked",
                "Clean the gauge, section 2",
            ],
            ["Midday too warm, nights correct", "Dirty shield", "Wash the shield"],
            [
                "Humidity stuck at 100 %",
                "Wet or aged sensor",
                "Dry for a day indoors; else replace",
            ],
            [
                "Snow depth jumps by 40 cm",
                "Grass or a cable in the beam",
                "Mow; tie the cable back",
            ],
            [
                "Voltage falls under clear sky",
                "Snow on panels, loose terminal",
                "Sweep; tighten to 6 Nm",
            ],
            [
                "Journal says “time unconfirmed”",
                "No satellites in sight",
                "Clear snow from the antenna",
            ],
        ],
        [5.4, 4.8, 5.6],
    )
    document.add_heading("Before you leave", 2)
    bullets(
        "Every plug is back, and the green light on the logger blinks every ten seconds.",
        "Call the valley desk and have the latest row read out to you. Believe it only if it "
        "makes sense.",
        "Count the tools. The mountain keeps what you forget.",
    )

    for setting in document.settings.element.iter(qn("w:compatSetting")):
        if setting.get(qn("w:name")) == "compatibilityMode":
            setting.set(qn("w:val"), "15")  # or Word says "compatibility mode" in the title bar

    core = document.core_properties
    core.title, core.subject = "Maintenance Guide", NETWORK
    core.author = core.last_modified_by = "docmill examples"
    core.comments = "Example document for docmill; the network is invented"
    core.created = core.modified = STAMP
    core.revision = 1

    raw = io.BytesIO()
    document.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():  # the same entries, without the time of writing
            info = zipfile.ZipInfo(name, STAMP.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, source.read(name))


# --------------------------------------------------------------------------- Markdown and CSV

NOTES = """\
# Calibration notes

Working notes for the yearly round with the reference instruments. A calibration never
changes what is stored: it yields an offset and a factor, which are applied when the
monthly review is made. Tolerances are those of chapter 2 of the station handbook.

## Ground rules

- Write down the reading **as found** before you clean or adjust anything.
- Let the reference stand beside the station's sensor for thirty minutes, in shade.
- Take ten pairs of readings, one a minute. Use the median of the differences.
- If the difference is below a third of the tolerance, change nothing. Chasing noise
  makes a record worse.

## Barometer

The travelling barometer visits all five stations within one day in June. It is compared
with the mercury column at the valley desk in the morning and again in the evening. If it
has drifted by more than 0.1 hPa between the two, the whole round is void.

The station below gives an independent check. For two stations that are `dz` metres apart,
with a mean air temperature of `t_mean` degrees Celsius between them:

```python
from math import exp

def pressure_above(p_below: float, dz: float, t_mean: float) -> float:
    \"\"\"Station pressure in hPa expected dz metres higher (dry air).\"\"\"
    return p_below * exp(-9.80665 * dz / (287.05 * (t_mean + 273.15)))

round(pressure_above(931.4, 1184 - 742, 4.0), 1)   # Meadow to Larchwood: 882.0
```

An error of one degree in the mean temperature changes the result by 0.2 hPa, so do not
read more into the comparison than it can tell.

## Thermometer

One point is enough, if it is a good one: crushed ice made from clean water, with just
enough water to fill the gaps, in a vacuum flask. Stir, wait fifteen minutes, and read. The
thermometer must show 0.0 degrees to within 0.1. Ice straight from the freezer is too cold;
it is ready when its surface looks wet.

## Hygrometer

Saturated salt solutions keep the air above them at a known humidity. Seal the sensor into
the jar for six hours at a steady temperature near 25 degrees.

| Salt             | Relative humidity | Accept         |
| ---------------- | ----------------- | -------------- |
| Lithium chloride | 11.3 %            | 8.3 to 14.3 %  |
| Sodium chloride  | 75.3 %            | 72.3 to 78.3 % |

From the two readings follow factor and offset:

```python
def two_point(low: float, high: float) -> tuple[float, float]:
    factor = (75.3 - 11.3) / (high - low)
    return factor, 11.3 - factor * low
```

## Rain gauge

The funnel collects from 200 square centimetres, so 0.2 mm of rain are 4 ml of water, and
half a litre must give 125 tips. Let 500 ml drip in over at least forty minutes: poured
faster, water is lost while the bucket swings, and the gauge seems to read low.

1. Clean and level the gauge first, as the maintenance guide describes.
2. Count the tips. Between 121 and 129 the gauge is within 3 % and stays as it is.
3. Outside these limits, turn **both** stop screws by the same amount: a quarter turn
   outwards means about two per cent fewer tips.
4. Repeat until two runs in a row agree.

## Anemometer

There is no wind tunnel on the ridge. Exchange the instrument for one that has been
calibrated in the laboratory, and compare both during a week with winds from 3 to 15 m/s.
A slope that differs from 1 by more than 2 % points at bent cups; an offset above 0.3 m/s
points at the bearings.
"""

STATIONS = [
    ("S1 Meadow", 742),
    ("S2 Larchwood", 1184),
    ("S3 Tarn", 1623),
    ("S4 Saddle", 2051),
    ("S5 Summit", 2411),
]

# Twelve days in February: fair weather, a week of storm and cloud, then the sun again.
# sea-level pressure, temperature at S1, sunshine (0 to 1), wind factor, precipitation at S1
WEATHER = [
    (1027.4, -4.1, 0.9, 0.5, 0.0),
    (1026.0, -3.2, 0.9, 0.5, 0.0),
    (1019.8, -0.6, 0.5, 0.9, 0.0),
    (1008.3, 2.4, 0.1, 1.6, 6.4),
    (999.7, 1.7, 0.0, 2.1, 14.2),
    (996.2, 0.3, 0.0, 2.3, 11.8),
    (1001.5, -0.9, 0.0, 1.7, 8.6),
    (1004.9, -1.6, 0.0, 1.5, 4.2),
    (1009.6, -2.2, 0.1, 1.2, 1.8),
    (1016.7, -3.9, 0.6, 0.8, 0.0),
    (1022.3, -5.0, 0.9, 0.5, 0.0),
    (1024.1, -4.4, 0.9, 0.6, 0.0),
]


def make_readings(target: Path) -> None:
    rnd = random.Random(742)
    header = [
        "station", "date", "temp_mean_c", "temp_min_c", "temp_max_c", "humidity_pct",
        "pressure_hpa",
        "wind_mean_ms", "gust_max_ms", "precip_mm", "snow_depth_cm", "battery_v", "flag",
    ]  # fmt: skip
    base_wind = {742: 1.3, 1184: 1.6, 1623: 3.0, 2051: 6.4, 2411: 8.0}
    snow = {742: 6.0, 1184: 38.0, 1623: 84.0, 2051: 61.0, 2411: 47.0}
    battery = {742: 12.82, 1184: 12.74, 1623: 12.80, 2051: 12.84, 2411: 12.81}
    iced = {2411: False}
    rows = []
    for day, (sea, t_meadow, sun, windy, rain) in enumerate(WEATHER):
        date = dt.date(2026, 2, 3) + dt.timedelta(days=day)
        for name, z in STATIONS:
            lapse = 6.4 if sun < 0.6 else 4.1
            mean = t_meadow - lapse * (z - 742) / 1000 + rnd.uniform(-0.3, 0.3)
            swing = (2.0 + 5.0 * sun) * (1.2 if z == 742 else 0.8) * rnd.uniform(0.9, 1.1)
            pressure = sea * math.exp(-9.80665 * z / (287.05 * (273.15 + mean + 0.003 * z)))
            wind = base_wind[z] * windy * rnd.uniform(0.9, 1.1)
            gust = wind * rnd.uniform(1.7, 2.0) + 1.5
            amount = rain * (1 + (z - 742) / 2400) * rnd.uniform(0.9, 1.1)
            if mean < 0.5:
                snow[z] += amount * (1.1 if z < 1800 else 0.6)
                amount *= 0.35 if mean < -1 else 0.7  # the gauges are not heated
            snow[z] = max(0.0, snow[z] * (0.985 if mean < 0.5 else 0.93))
            drain = {2411: 0.145, 2051: 0.105}.get(z, 0.085) if battery[z] > 12.2 else 0.05
            change = 0.13 * sun / 0.9 - drain * (1 - sun)
            battery[z] = min(12.88, battery[z] + change * rnd.uniform(0.9, 1.1))
            flag = "G"
            if (
                z == 2411
            ):  # below 12.2 V the heater is off, and the cups ice up until the sun is back
                iced[z] = (iced[z] or battery[z] < 12.2) and sun < 0.6
                if iced[z]:
                    flag, wind, gust = "I", rnd.uniform(0.0, 0.4), rnd.uniform(0.5, 2.5)
            if z == 742 and sun >= 0.9 and day >= 10:
                flag = "E"  # light from fresh snow below the shield
            humidity = min(99.0, 96 - 34 * sun + rnd.uniform(-3, 3))
            tenths = (mean, mean - swing / 2, mean + swing / 2)
            rest = (pressure, wind, gust, round(amount / 0.2) * 0.2)
            rows.append(
                [name, date.isoformat()]
                + [f"{value:.1f}" for value in tenths]
                + [f"{humidity:.0f}"]
                + [f"{value:.1f}" for value in rest]
                + [f"{snow[z]:.0f}", f"{battery[z]:.2f}", flag]
            )
    with target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# --------------------------------------------------------------------------- pictures


def render(pdf: bytes, page: int, scale: float) -> Image.Image:
    document = pdfium.PdfDocument(pdf)
    image = document[page].render(scale=scale).to_pil().convert("RGB")
    document.close()
    return image


def make_sign(target: Path) -> None:
    width, height = 600, 790
    raw = io.BytesIO()
    c = Canvas(raw, pagesize=(width, height))
    yellow, black = HexColor("#f7c600"), HexColor("#17191b")
    c.setFillColor(HexColor("#8d979d"))
    c.rect(0, 0, width, height, stroke=0, fill=1)
    c.setFillColor(white)
    c.roundRect(16, 16, width - 32, height - 32, 22, stroke=0, fill=1)
    c.setStrokeColor(black)
    c.setLineWidth(5)
    c.roundRect(26, 26, width - 52, height - 52, 15, stroke=1, fill=0)

    top = height - 48
    c.setFillColor(yellow)
    c.roundRect(42, top - 186, width - 84, 190, 8, stroke=0, fill=1)

    def polygon(points: list[tuple[float, float]], color: Any, line: float = 0) -> None:
        path = c.beginPath()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        path.close()
        c.setFillColor(color)
        c.setStrokeColor(black)
        c.setLineWidth(line or 1)
        c.setLineJoin(1)
        c.drawPath(path, stroke=1 if line else 0, fill=1)

    x0, y0 = 142, top - 165
    polygon([(x0 - 82, y0), (x0 + 82, y0), (x0, y0 + 144)], white, 11)
    polygon([(x0 - 30, y0 + 92), (x0 + 30, y0 + 92), (x0 + 26, y0 + 84), (x0 - 26, y0 + 84)], black)
    for dx, length in ((-19, 22), (-6, 30), (8, 20), (20, 26)):
        polygon(
            [(x0 + dx - 5, y0 + 85), (x0 + dx + 5, y0 + 85), (x0 + dx, y0 + 85 - length)], black
        )
    for dx, dy in ((-15, 50), (10, 54)):  # two that have broken off
        polygon(
            [(x0 + dx - 4, y0 + dy), (x0 + dx + 4, y0 + dy + 2), (x0 + dx + 1, y0 + dy - 17)], black
        )
    c.setFillColor(black)
    c.circle(x0, y0 + 29, 7, stroke=0, fill=1)  # somebody below
    c.roundRect(x0 - 13, y0 + 7, 26, 13, 6, stroke=0, fill=1)

    c.setFont("Helvetica-Bold", 55)
    c.drawString(250, top - 78, "WARNING")
    c.setFont("Helvetica-Bold", 40)
    c.drawString(251, top - 136, "FALLING ICE")

    y = top - 222
    c.setFont("Helvetica", 23.5)
    for line in ("The mast sheds ice without notice", "when the sun returns after rime."):
        c.drawString(62, y, line)
        y -= 32
    y -= 26
    rules = [
        ("Stay outside the yellow rope.",),
        ("Wear a helmet within 25 metres", "of the mast."),
        ("Approach from the windward side.",),
        ("Never knock ice off the guy wires.",),
        ("Call the valley desk on channel 4", "before you step inside."),
    ]
    for number, lines in enumerate(rules, 1):
        c.setFillColor(black)
        c.circle(80, y + 8, 18, stroke=0, fill=1)
        c.setFillColor(white)
        c.setFont("Helvetica-Bold", 21)
        c.drawCentredString(80, y + 0.5, str(number))
        c.setFillColor(black)
        c.setFont("Helvetica-Bold", 24)
        for line in lines:
            c.drawString(114, y, line)
            y -= 31
        y -= 26
    c.setLineWidth(1.5)
    c.line(62, 76, width - 62, 76)
    c.setFont("Helvetica", 16)
    c.drawString(62, 51, "Summit station S5")
    c.drawRightString(width - 62, 51, "2,411 m above sea level")
    c.showPage()
    c.save()
    image = render(raw.getvalue(), 0, 1.7)
    image.quantize(48, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        target, optimize=True
    )


SCAN = [
    """\
=STONECROP RIDGE WEATHER STATIONS
=INSPECTION REPORT No. 47

Station:     Tarn (S3), 1,623 m
Date:        14 May 2025
Weather:     dry, 6 degrees, light wind from the west
Visited by:  field team B (two persons)
Last visit:  22 October 2024

_1. REASON FOR THE VISIT
Spring inspection, brought forward by one week because the soil thermometer at 20 cm has sent \
no readings since 9 March.

_2. MAST AND GUY WIRES
The mast stands upright: 4 mm out of plumb over 6 m, where 20 mm are allowed. Two of the three \
guy wires are sound. The north wire has lost three strands at the lower clamp, where it rubs \
against the rock. Wire exchanged, rubber sleeve fitted. All turnbuckles tightened to 1.2 kN and \
secured.

_3. BATTERY AND SOLAR PANELS
Battery 12.9 V at 10:40, sun on both panels. Terminals clean. The upper panel has a hairline \
crack in one corner but still delivers 4.1 A. A new panel should be ordered for the autumn \
visit.

_4. INSTRUMENT BOX
Dry inside. Desiccant was green, two bags renewed. One cable gland stood open and is now \
plugged. Seal clean, lock oiled. Clock of the logger 0.4 s fast.

_5. AIR THERMOMETER AND SHIELD
Shield washed, water brown. Reading before and after the same to within 0.1 degree.
""",
    """\
Report No. 47, Tarn, page 2

_6. SOIL THERMOMETERS
The soil thermometer cable had been chewed through by voles, 1.5 m and 2.3 m from the box. \
They had come along the trench under the snow. This is the first damage by voles at Tarn \
station. New cable laid in a steel pipe, trench filled with coarse gravel. Readings \
returned at 13:05.

_7. RAIN GAUGE
Funnel clear, one spider removed. Test with 500 ml of water: 124 tips, within the limits of 121 \
to 129. No adjustment.

_8. SNOW DEPTH SENSOR
Reads 2 cm on bare ground. Zero corrected. Grass mown.

_9. PATH
Two planks of the bridge below the lake are loose. Marked with tape; to be nailed down in \
August. Old snow on the last 200 m, steps cut.

_10. WORK LEFT OPEN
- Order one 60 watt solar panel.
- Look at the north guy wire again in October.
- Lay the cables at the other stations in pipes as well, if voles are seen there.

Left the station at 14:30.
Signed for field team B:
""",
]


def scrawl(c: Canvas, sx: float, sy: float) -> None:
    """A signature nobody could read."""
    c.setStrokeColorRGB(0.16, 0.16, 0.2)
    c.setLineWidth(1.3)
    path = c.beginPath()
    path.moveTo(sx, sy)
    for i in range(7):
        dx, amp = 15 + 3 * (i % 3), 21 - 2.4 * i
        path.curveTo(sx + dx * 0.2, sy + amp, sx + dx * 0.7, sy + amp, sx + dx * 0.6, sy - 4)
        sx += dx
        path.lineTo(sx, sy + (i % 2) * 3)
    path.curveTo(sx + 20, sy + 9, sx + 40, sy - 6, sx + 58, sy + 4)
    c.drawPath(path, stroke=1, fill=0)


def typed_page(text: str, seed: int) -> Image.Image:
    """A page from a typewriter with uneven ink."""
    rnd = random.Random(seed)
    raw = io.BytesIO()
    c = Canvas(raw, pagesize=A4)
    columns, pitch, size, leading = 58, 7.45, 12.4, 19.5
    left, y = 70.0, A4[1] - 82
    lines: list[tuple[str, str]] = []
    for paragraph in text.splitlines():
        style = paragraph[:1] if paragraph[:1] in ("=", "_") else ""
        indent = "  " if paragraph.startswith("- ") else ""
        body = paragraph[1:] if style else paragraph
        wrapped = (
            [body]
            if body.startswith(("Station:", "Date:", "Weather:", "Visited", "Last visit:"))
            else (textwrap.wrap(body, columns, subsequent_indent=indent) or [""])
        )
        lines += [(style, line) for line in wrapped]
    for style, line in lines:
        if not line:
            y -= leading * 0.62
            continue
        x = left + (columns - len(line)) / 2 * pitch if style == "=" else left
        for i, char in enumerate(line):
            ink = rnd.uniform(0.07, 0.26)
            c.setFillColorRGB(ink, ink, ink)
            c.setFont("Courier-Bold" if rnd.random() < 0.35 else "Courier", size)
            c.drawString(x + i * pitch + rnd.uniform(-0.2, 0.2), y + rnd.uniform(-0.35, 0.35), char)
        if style == "_":
            c.setLineWidth(0.9)
            c.setStrokeColorRGB(0.2, 0.2, 0.2)
            start = x + (line.index(".") + 2) * pitch
            c.line(start, y - 4.2, x + len(line) * pitch, y - 4.0)
        y -= leading
    if "Signed" in text:
        scrawl(c, left + 8 * pitch, y - 22)
    c.showPage()
    c.save()

    return scanned(render(raw.getvalue(), 0, 2 * 150 / 72).convert("L"), seed)


def scanned(page: Image.Image, seed: int) -> Image.Image:
    """What the scanner makes of it at 150 dpi: askew, a little soft, on paper with a fold."""
    page = page.rotate((0.55, -0.4)[seed % 2], resample=Image.Resampling.BICUBIC, fillcolor=255)
    page = page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)
    page = page.filter(ImageFilter.GaussianBlur(0.45))
    ink = np.asarray(page, dtype=np.float32) / 255

    rng = np.random.default_rng(seed)
    height, width = ink.shape

    def clouds(cells: int, strength: float) -> Any:
        small = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
        big = small.resize((width, height), Image.Resampling.BICUBIC)
        return 1 - strength * np.asarray(big, dtype=np.float32) / 255

    paper = 0.965 * clouds(7, 0.045) * clouds(60, 0.02)
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    lid = 0.16 * np.exp(-across * 45) + 0.07 * np.exp(-(1 - down) * 60)  # its shadow
    paper = paper - lid - 0.035 * np.exp(-(((down - 0.497) * height / 2.2) ** 2))  # a fold
    fade = 1 - 0.25 * (1 - clouds(24, 1.0))  # the ribbon
    scan = paper * (1 - (1 - ink) * fade)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    for hole in (0.36, 0.64):  # punched for the binder
        distance = np.hypot(xx - 0.034 * width, yy - hole * height)
        scan = np.where(distance < 17, 0.35, scan)
    scan = scan + rng.normal(0, 0.012, scan.shape).astype(np.float32)
    for _ in range(45):  # dust
        px, py = int(rng.integers(0, width - 2)), int(rng.integers(0, height - 2))
        scan[py : py + 1 + px % 2, px : px + 1 + py % 2] -= 0.3
    return Image.fromarray((np.clip(scan, 0, 1) * 255).astype(np.uint8))


def make_scan(target: Path) -> None:
    c = Canvas(str(target), pagesize=A4)
    c.setTitle("Inspection report No. 47 (scan)")
    c.setAuthor("docmill examples")
    for number, text in enumerate(SCAN, 1):
        jpeg = io.BytesIO()
        typed_page(text, 50 + number).save(jpeg, "JPEG", quality=50, optimize=True, dpi=(150, 150))
        c.drawImage(ImageReader(jpeg), 0, 0, *A4)  # a JPEG is taken over as it is
        c.showPage()
    c.save()


# --------------------------------------------------------------------------- questions

QUESTIONS = [
    {
        "question": "How long does the battery last without sun, and what is switched off first?",
        "file": "station-handbook.pdf",
        "page": 5,
        "answer": "Without sun, a full battery lasts ten days.",
    },
    {
        "question": "What had chewed the soil thermometer cable at Tarn station?",
        "file": "inspection-scan.pdf",
        "page": 2,
        "answer": "The soil thermometer cable had been chewed through by voles",
    },
    {
        "question": "How do I replace the bearings of the cup anemometer?",
        "file": "maintenance-guide.docx",
        "page": 2,
        "answer": "Replace both bearings together, never one alone.",
    },
]

README = """\
Documents for `make demo`: the papers of an invented mountain weather network, and three questions.
All of it was written for docmill and has its licence, Apache-2.0.
To make them again: `uv run tools/make_examples.py` (the texts are in that script).
"""


def main() -> None:
    default = Path(__file__).resolve().parent.parent / "examples"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    make_handbook(folder / "station-handbook.pdf")
    make_guide(folder / "maintenance-guide.docx")
    (folder / "calibration-notes.md").write_text(NOTES, encoding="utf-8")
    make_readings(folder / "readings.csv")
    make_sign(folder / "warning-sign.png")
    make_scan(folder / "inspection-scan.pdf")
    questions = json.dumps(QUESTIONS, indent=2, ensure_ascii=False) + "\n"
    (folder / "questions.json").write_text(questions, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")

    handbook = pdfium.PdfDocument(folder / "station-handbook.pdf")
    if len(handbook) != len(HANDBOOK):
        raise SystemExit(f"the handbook has {len(handbook)} pages: a page of text has run over")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>8,}  {path.name}")


if __name__ == "__main__":
    main()
